complete --keep-order --exclusive --command sipreg --arguments "(COMPLETE=fish sipreg -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
