complete --keep-order --exclusive --command cicdctl --arguments "(CICDCTL_COMPLETE=fish cicdctl -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
