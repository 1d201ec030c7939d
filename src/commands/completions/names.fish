
# Where a command wants a container, the names of those that have a record; behind the container that
# is to be disconnected, the names that it has for others.
function __oci_link_aliases
    set -l words (commandline -opc)
    set -l at (contains -i -- disconnect $words)
    if set -q words[(math $at + 1)]
        oci-link ls --aliases $words[(math $at + 1)] 2>/dev/null
    else
        oci-link ls --names 2>/dev/null
    end
end
complete -c oci-link -n "__fish_oci_link_using_subcommand inspect" -f -a "(oci-link ls --names 2>/dev/null)"
complete -c oci-link -n "__fish_oci_link_using_subcommand connect" -f -a "(oci-link ls --names 2>/dev/null)"
complete -c oci-link -n "__fish_oci_link_using_subcommand disconnect" -f -a "(__oci_link_aliases)"
