
# Where a command wants a container, the names of those that have a record.
complete -c oci-link -n "__fish_oci_link_using_subcommand inspect" -f -a "(oci-link ls --names 2>/dev/null)"
complete -c oci-link -n "__fish_oci_link_using_subcommand connect" -f -a "(oci-link ls --names 2>/dev/null)"
complete -c oci-link -n "__fish_oci_link_using_subcommand disconnect" -f -a "(oci-link ls --names 2>/dev/null)"
