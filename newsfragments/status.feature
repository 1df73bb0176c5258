``rvgahp status`` shows what proxy and CE do, and what needs attention; ``rvgahp list``, ``kill``,
``drain`` and ``resume`` list and end sessions, and let nothing new be started. Behind them is a
local HTTP interface with JSON (``RVGAHP_STATUS_SOCKET``, ``RVGAHP_ADMINISTRATORS``).
