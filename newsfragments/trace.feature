`rvgahp trace SITE` follows the gridmanager's way to a site step by step, from the proxy's
socket over the GAHP's banner and `BLAH_PING` to a test job's output (`--job`), and shows at
the first failure what was seen and what to do; `--json` for programs.
