`rvgahp --help` lists the commands by what one wants, and the help of each has an example that is
right and names its page of the manual. `rvgahp completion bash` (`zsh`, `fish`) prints the script
by which the shell completes them.
