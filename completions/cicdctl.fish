# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cicdctl_global_optspecs
    string join \n json q/quiet v/verbose color= config= user= h/help V/version
end

function __fish_cicdctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cicdctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cicdctl_using_subcommand
    set -l cmd (__fish_cicdctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cicdctl -n "__fish_cicdctl_needs_command" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_needs_command" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_needs_command" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_needs_command" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -s V -l version -d 'Print version'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "init" -d 'Set up the runner for this user'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "apply" -d 'Make the units match the configuration'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "upgrade" -d 'Put another cicdctl in the place of the installed one, and take it back if it does not work'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "uninstall" -d 'Remove the runner, its agents and their units'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "agent" -d 'Manage agents: one for each project, with limits of its own'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "status" -d 'Show units, queue and last reviews on one screen'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "top" -d 'Show agents and jobs live, and act on them'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "logs" -d 'Show what the runner, the agents and their jobs logged'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "review" -d 'Review a change'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "job" -d 'List, show, follow and cancel jobs'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "finding" -d 'List, dismiss and restore findings'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "cost" -d 'Show what reviews have cost, and what the caps leave'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "metrics" -d 'Print metrics for Prometheus'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "doctor" -d 'Check everything the runner needs'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "config" -d 'Show, change and check the configuration'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "gc" -d 'Give back disk space that nobody needs any more'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "engine" -d 'List, show, pin and check engines: the programs that read a change'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "skill" -d 'List, show, begin and check skills: what an engine is told to look for'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "workflow" -d 'Print a workflow that asks the runner for reviews'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "secret" -d 'Manage secrets: the key of an engine\'s API, the token of the forge'
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "run"
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "generate"
complete -c cicdctl -n "__fish_cicdctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l engine -d 'The engine that reviews: rules (built in), claude or command' -r -f -a "rules\t''
claude\t''
command\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l hardening -d 'How far the units are confined: off, standard or strict' -r -f -a "off\t''
standard\t''
strict\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l no-linger -d 'Leave lingering as it is'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -l force -d 'Overwrite unit files that were edited by hand'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l from -d 'The new program' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l sha256 -d 'What its SHA-256 must be' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l wait -d 'How long runner and agents may take to be ready' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -l purge -d 'Remove configuration, secrets, reviews and caches, too'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "add" -d 'Add an agent for a project and start it'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "list" -d 'List the agents'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "show" -d 'Show one agent: project, limits, engine, units, state'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "start" -d 'Start agents and their sockets, those that failed too often, too'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "stop" -d 'Stop agents and their sockets; running reviews are waited for'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "restart" -d 'Restart agents; running reviews are waited for'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "set" -d 'Change limits of agents, at once and for good'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "drain" -d 'Let agents finish what runs, then stop them'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "pause" -d 'Let agents begin no job for a while'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "resume" -d 'Take a pause or a drain back'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "remove" -d 'Remove an agent with its configuration, unit and workspace'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and not __fish_seen_subcommand_from add list show start stop restart set drain pause resume remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l path -d 'Working copy of the project' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l repo -d 'The project at the forge' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l cpu -d 'CPU time, 100% being one CPU [default: 25%]' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l memory -d 'Memory [default: 512M]' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l engine -d 'The engine that reviews this project' -r -f -a "rules\t''
claude\t''
command\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l watch -d 'Review new heads of the repository\'s pull requests, looking for them at this interval, such as 60s' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l no-post -d 'Do not publish what `--watch` reviews'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from show" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from show" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from show" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from start" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from start" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from start" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from start" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from start" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from start" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from stop" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from stop" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from stop" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from stop" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from stop" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from stop" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from restart" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from restart" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from restart" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from restart" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from restart" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from restart" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l cpu -d 'CPU time, 100% being one CPU' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l cpu-weight -d 'Share of the CPU beside others that want it, too, 1 to 10000' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l memory -d 'Memory' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l swap -d 'Swap' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l tasks -d 'Processes and threads' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -l note -d 'Why, for whoever wonders' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -l timeout -d 'Wait so long at most, such as 10m; they go on draining' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -l no-wait -d 'Do not wait until they have stopped'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -l note -d 'Why, for whoever wonders' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -l for -d 'How long, such as 30m or 2h [default: until `resume`]' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from resume" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from resume" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from resume" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from resume" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from resume" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from resume" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add an agent for a project and start it'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the agents'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one agent: project, limits, engine, units, state'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "start" -d 'Start agents and their sockets, those that failed too often, too'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop agents and their sockets; running reviews are waited for'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Restart agents; running reviews are waited for'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change limits of agents, at once and for good'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "drain" -d 'Let agents finish what runs, then stop them'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Let agents begin no job for a while'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Take a pause or a drain back'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove an agent with its configuration, unit and workspace'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -s w -l watch -d 'Show it again and again, every so many seconds [default: 2]' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -s a -l all -d 'A line for each agent, however many there are'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -s i -l interval -d 'Seconds between two looks' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -s n -l lines -d 'How many lines' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l since -d 'From this time on (`2026-11-23 08:00`, `-1h`, `today`)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l until -d 'Up to this time' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l level -d 'This level and graver: debug, info, warning, err' -r -f -a "debug\t''
info\t''
notice\t''
warning\t''
err\t''
crit\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l grep -d 'Only messages that match the regular expression' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l job -d 'Only this job' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -s o -l output -d 'How the journal\'s entries are shown' -r -f -a "short\t''
short-iso\t''
cat\t''
json\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -s f -l follow -d 'Go on and show what comes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l pr -d 'A pull request of the remote `origin`' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l base -d 'Compare with this branch or revision' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l repo -d 'The project at the forge, where an agent has it' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l path -d 'Working copy [default: the current directory]' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l agent -d 'The agent that is to review' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l engine -d 'Another engine than the configured one' -r -f -a "rules\t''
claude\t''
command\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l skill -d 'What the engine is to look for, instead of the configured skills; more than one by giving it again' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l format -d 'How the review is printed' -r -f -a "text\t'For a terminal'
json\t'The whole review, as the runner\'s API has it'
markdown\t'For a job summary or a comment'
sarif\t'SARIF 2.1.0, for code scanning'
rdjson\t'Reviewdog\'s diagnostic format'
html\t'One file for a browser, which loads and runs nothing'"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l fail-on -d 'Exit with status 3 if a finding is this grave or graver' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l staged -d 'What is staged'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l schema -d 'Print the JSON Schema of `--format json` and do nothing else'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l no-wait -d 'Print the job and do not wait for its end'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l dry-run -d 'Show what would be reviewed, and call no engine'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l post -d 'Publish the review of the pull request at GitHub'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l no-post -d 'Publish nothing, whatever the configuration says'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l full -d 'Review all of the change anew, whatever was reviewed before'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l local -d 'Review in this process, without the runner'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l unsandboxed -d 'Go on where the engine\'s sandbox cannot be had; the receipt says so'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand review" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -f -a "list" -d 'List the newest jobs'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -f -a "show" -d 'Show a job with its findings and its receipt'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -f -a "follow" -d 'Follow a job to its end'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -f -a "cancel" -d 'Cancel a job; a running engine is ended'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and not __fish_seen_subcommand_from list show follow cancel help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -s n -l lines -d 'How many' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -l why -d 'Tell what became of each job of this pull request, and why' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -l repo -d 'The pull request\'s repository, where several have one of this number' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -l format -r -f -a "text\t'For a terminal'
json\t'The whole review, as the runner\'s API has it'
markdown\t'For a job summary or a comment'
sarif\t'SARIF 2.1.0, for code scanning'
rdjson\t'Reviewdog\'s diagnostic format'
html\t'One file for a browser, which loads and runs nothing'"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -l html -d 'As one HTML file, with what happened when: the same as `--format html`'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from follow" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from follow" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from follow" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from follow" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from follow" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from follow" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from follow" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from cancel" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from cancel" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from cancel" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from cancel" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from cancel" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from cancel" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the newest jobs'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show a job with its findings and its receipt'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from help" -f -a "follow" -d 'Follow a job to its end'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from help" -f -a "cancel" -d 'Cancel a job; a running engine is ended'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand job; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -f -a "list" -d 'List findings, those of each project and pull request together'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -f -a "show" -d 'Show a finding and its history'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -f -a "dismiss" -d 'Dismiss findings: they are not shown again unless their lines change'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -f -a "restore" -d 'Take the dismissal of findings back'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and not __fish_seen_subcommand_from list show dismiss restore help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l repo -d 'Only those of this project at the forge' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l path -d 'Only those of this working copy, and of its project at the forge where an agent has it' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l pr -d 'Only those of this pull request; what is dismissed or restored is so in the whole project' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l state -d 'Which of them' -r -f -a "open\t'Reported, and nothing came of it yet'
fixed\t'No longer reported by a review that looked'
dismissed\t'Not shown again unless their lines change'
all\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -l repo -d 'Only those of this project at the forge' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -l path -d 'Only those of this working copy, and of its project at the forge where an agent has it' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -l pr -d 'Only those of this pull request; what is dismissed or restored is so in the whole project' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l reason -d 'Why, for whoever asks later' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l repo -d 'Only those of this project at the forge' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l path -d 'Only those of this working copy, and of its project at the forge where an agent has it' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l pr -d 'Only those of this pull request; what is dismissed or restored is so in the whole project' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from dismiss" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -l repo -d 'Only those of this project at the forge' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -l path -d 'Only those of this working copy, and of its project at the forge where an agent has it' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -l pr -d 'Only those of this pull request; what is dismissed or restored is so in the whole project' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "list" -d 'List findings, those of each project and pull request together'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show a finding and its history'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "dismiss" -d 'Dismiss findings: they are not shown again unless their lines change'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "restore" -d 'Take the dismissal of findings back'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -l by -d 'What a line is for' -r -f -a "day\t''
project\t''
pull\t''
agent\t''
engine\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -l since -d 'From this day on [default: the first of this month]' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand cost" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -l textfile -d 'Write them to this file, for node_exporter\'s textfile collector; it is old or new, never half' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -l listen -d 'Answer `GET /metrics` at this address of the loopback interface, until it is ended' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -f -a "rules" -d 'Print alerting rules for Prometheus'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -f -a "dashboard" -d 'Print a dashboard for Grafana'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and not __fish_seen_subcommand_from rules dashboard help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from rules" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from rules" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from rules" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from rules" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from rules" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from rules" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from rules" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from dashboard" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from dashboard" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from dashboard" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from dashboard" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from dashboard" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from dashboard" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from dashboard" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from help" -f -a "rules" -d 'Print alerting rules for Prometheus'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from help" -f -a "dashboard" -d 'Print a dashboard for Grafana'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand metrics; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -l fix -d 'Mend what can be mended without a doubt: modes of secrets, and secrets that are in the environment'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -s y -l yes -d 'Answer the question of `--fix` with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -l dry-run -d 'Show what `--fix` would do and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "show" -d 'Show every setting as it holds'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "get" -d 'Print one setting as it holds'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "set" -d 'Set one key'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "unset" -d 'Take one key out, so that the default holds again, or what is set for all'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "edit" -d 'Open the file in your editor, and keep what is valid'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "import" -d 'Take over the settings of a YAML file, as the deployment guide has it'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "check" -d 'Look for mistakes in the configuration: file, line, column, and what was probably meant'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "schema" -d 'Print the JSON Schema of a configuration file, for editors'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and not __fish_seen_subcommand_from show get set unset edit import check schema help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -l agent -d 'That of this agent, instead of your own' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -l origin -d 'Say which file each comes from'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -l agent -d 'That of this agent, instead of your own' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -l agent -d 'That of this agent, instead of your own' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l agent -d 'That of this agent, instead of your own' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from unset" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -l agent -d 'That of this agent, instead of your own' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from check" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from schema" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from schema" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from schema" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from schema" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from schema" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from schema" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show every setting as it holds'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "get" -d 'Print one setting as it holds'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "set" -d 'Set one key'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "unset" -d 'Take one key out, so that the default holds again, or what is set for all'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "edit" -d 'Open the file in your editor, and keep what is valid'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "import" -d 'Take over the settings of a YAML file, as the deployment guide has it'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Look for mistakes in the configuration: file, line, column, and what was probably meant'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "schema" -d 'Print the JSON Schema of a configuration file, for editors'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -f -a "list" -d 'List the engines that there are, who uses them, and whether they are pinned'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -f -a "show" -d 'Show what is known of an engine\'s program, and what its pin covers'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -f -a "pin" -d 'Pin the program of an engine as it is now: path, version and hash'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -f -a "unpin" -d 'Forget the pins of an engine: any program may be in its place again'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -f -a "check" -d 'Compare the pinned programs with what is there now'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and not __fish_seen_subcommand_from list show pin unpin check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from list" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from list" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from list" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from show" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from show" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from show" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from pin" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -s y -l yes -d 'Answer every question with yes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -l dry-run -d 'Show what would be done and do nothing'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from unpin" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from check" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from check" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from check" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from check" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the engines that there are, who uses them, and whether they are pinned'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what is known of an engine\'s program, and what its pin covers'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from help" -f -a "pin" -d 'Pin the program of an engine as it is now: path, version and hash'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from help" -f -a "unpin" -d 'Forget the pins of an engine: any program may be in its place again'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from help" -f -a "check" -d 'Compare the pinned programs with what is there now'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand engine; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -f -a "list" -d 'List the skills that there are; those of `[review] skills` are marked'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -f -a "show" -d 'Print a skill'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -f -a "new" -d 'Begin a skill of your own'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -f -a "check" -d 'Check skills, and that the configured ones are there'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and not __fish_seen_subcommand_from list show new check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from show" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from show" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from show" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from new" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from new" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from new" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from new" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from new" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from new" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from check" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from check" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from check" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from check" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the skills that there are; those of `[review] skills` are marked'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print a skill'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "new" -d 'Begin a skill of your own'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check skills, and that the configured ones are there'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -f -a "github" -d 'Print a workflow for GitHub Actions'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and not __fish_seen_subcommand_from github help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -l agent -d 'The agent that is to review [default: that of the repository]' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -l repo -d 'Name the repository in the workflow, instead of taking it from the event' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -l wait -d 'The workflow ends with the review: green if it is reviewed or skipped, red if it is anything else'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from github" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from help" -f -a "github" -d 'Print a workflow for GitHub Actions'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand workflow; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -f -a "set" -d 'Store a secret, read from the terminal or from standard input'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -f -a "list" -d 'List the secrets that are stored, and how each is kept'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -f -a "remove" -d 'Remove a secret'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and not __fish_seen_subcommand_from set list remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -l plain -d 'Keep it as a plain file, also where it could be encrypted: for a home directory that several hosts share'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -l dry-run -d 'Check the value and say where it would be kept'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from list" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from list" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from list" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -l dry-run -d 'Say what would be removed'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "set" -d 'Store a secret, read from the terminal or from standard input'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the secrets that are stored, and how each is kept'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a secret'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -f -a "daemon" -d 'The runner of the user'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -f -a "agent" -d 'The runner of one project'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -f -a "schema" -d 'Print this program\'s version and the schema of the store that it makes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -f -a "job" -d 'The engine of one job, inside its cage'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -f -a "probe" -d 'Try what the unit that this is started in is to refuse, or to go beyond its limits; the answer is JSON'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and not __fish_seen_subcommand_from daemon agent schema job probe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -l socket-activation -d 'Take the socket from systemd, or from standard input (`StandardInput=socket`)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from daemon" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -l session-id -d 'Name of the agent' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from agent" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from schema" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from schema" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from schema" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from schema" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from schema" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from schema" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -l dir -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -l first -d 'Be the first process of a namespace of processes: start the rest, and bury what is left behind'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -l no-namespaces -d 'Let nothing that is started make a namespace'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from job" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l hog -d 'Take more and more memory, up to this many MiB' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l exceed -d 'Go beyond the limits for memory, tasks and CPU'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l first -d 'As for `job`'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l no-namespaces -d 'As for `job`'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from probe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "daemon" -d 'The runner of the user'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "agent" -d 'The runner of one project'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "schema" -d 'Print this program\'s version and the schema of the store that it makes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "job" -d 'The engine of one job, inside its cage'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "probe" -d 'Try what the unit that this is started in is to refuse, or to go beyond its limits; the answer is JSON'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand generate" -l color -d 'When to colour: never without a terminal, nor where NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand generate" -l config -d 'Another configuration file than ~/.config/cicd-toolkit/config.toml' -r -F
complete -c cicdctl -n "__fish_cicdctl_using_subcommand generate" -l user -d 'Act for another user (root only)' -r
complete -c cicdctl -n "__fish_cicdctl_using_subcommand generate" -l json -d 'Print data as JSON on stdout'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand generate" -s q -l quiet -d 'Print no progress and no hints'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand generate" -s v -l verbose -d 'Print more about what is done'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand generate" -s h -l help -d 'Print help'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "init" -d 'Set up the runner for this user'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "apply" -d 'Make the units match the configuration'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "upgrade" -d 'Put another cicdctl in the place of the installed one, and take it back if it does not work'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "uninstall" -d 'Remove the runner, its agents and their units'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "agent" -d 'Manage agents: one for each project, with limits of its own'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "status" -d 'Show units, queue and last reviews on one screen'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "top" -d 'Show agents and jobs live, and act on them'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "logs" -d 'Show what the runner, the agents and their jobs logged'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "review" -d 'Review a change'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "job" -d 'List, show, follow and cancel jobs'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "finding" -d 'List, dismiss and restore findings'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "cost" -d 'Show what reviews have cost, and what the caps leave'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "metrics" -d 'Print metrics for Prometheus'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "doctor" -d 'Check everything the runner needs'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "config" -d 'Show, change and check the configuration'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "gc" -d 'Give back disk space that nobody needs any more'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "engine" -d 'List, show, pin and check engines: the programs that read a change'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "skill" -d 'List, show, begin and check skills: what an engine is told to look for'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "workflow" -d 'Print a workflow that asks the runner for reviews'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "secret" -d 'Manage secrets: the key of an engine\'s API, the token of the forge'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "run"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "generate"
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and not __fish_seen_subcommand_from init apply upgrade uninstall agent status top logs review job finding cost metrics doctor config gc engine skill workflow secret run generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "add" -d 'Add an agent for a project and start it'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "list" -d 'List the agents'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "show" -d 'Show one agent: project, limits, engine, units, state'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "start" -d 'Start agents and their sockets, those that failed too often, too'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "stop" -d 'Stop agents and their sockets; running reviews are waited for'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "restart" -d 'Restart agents; running reviews are waited for'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "set" -d 'Change limits of agents, at once and for good'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "drain" -d 'Let agents finish what runs, then stop them'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "pause" -d 'Let agents begin no job for a while'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "resume" -d 'Take a pause or a drain back'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "remove" -d 'Remove an agent with its configuration, unit and workspace'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from job" -f -a "list" -d 'List the newest jobs'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from job" -f -a "show" -d 'Show a job with its findings and its receipt'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from job" -f -a "follow" -d 'Follow a job to its end'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from job" -f -a "cancel" -d 'Cancel a job; a running engine is ended'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from finding" -f -a "list" -d 'List findings, those of each project and pull request together'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from finding" -f -a "show" -d 'Show a finding and its history'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from finding" -f -a "dismiss" -d 'Dismiss findings: they are not shown again unless their lines change'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from finding" -f -a "restore" -d 'Take the dismissal of findings back'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from metrics" -f -a "rules" -d 'Print alerting rules for Prometheus'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from metrics" -f -a "dashboard" -d 'Print a dashboard for Grafana'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show every setting as it holds'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "get" -d 'Print one setting as it holds'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "set" -d 'Set one key'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "unset" -d 'Take one key out, so that the default holds again, or what is set for all'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "edit" -d 'Open the file in your editor, and keep what is valid'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "import" -d 'Take over the settings of a YAML file, as the deployment guide has it'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Look for mistakes in the configuration: file, line, column, and what was probably meant'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "schema" -d 'Print the JSON Schema of a configuration file, for editors'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from engine" -f -a "list" -d 'List the engines that there are, who uses them, and whether they are pinned'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from engine" -f -a "show" -d 'Show what is known of an engine\'s program, and what its pin covers'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from engine" -f -a "pin" -d 'Pin the program of an engine as it is now: path, version and hash'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from engine" -f -a "unpin" -d 'Forget the pins of an engine: any program may be in its place again'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from engine" -f -a "check" -d 'Compare the pinned programs with what is there now'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from skill" -f -a "list" -d 'List the skills that there are; those of `[review] skills` are marked'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from skill" -f -a "show" -d 'Print a skill'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from skill" -f -a "new" -d 'Begin a skill of your own'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from skill" -f -a "check" -d 'Check skills, and that the configured ones are there'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from workflow" -f -a "github" -d 'Print a workflow for GitHub Actions'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "set" -d 'Store a secret, read from the terminal or from standard input'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "list" -d 'List the secrets that are stored, and how each is kept'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "remove" -d 'Remove a secret'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "daemon" -d 'The runner of the user'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "agent" -d 'The runner of one project'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "schema" -d 'Print this program\'s version and the schema of the store that it makes'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "job" -d 'The engine of one job, inside its cage'
complete -c cicdctl -n "__fish_cicdctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "probe" -d 'Try what the unit that this is started in is to refuse, or to go beyond its limits; the answer is JSON'
