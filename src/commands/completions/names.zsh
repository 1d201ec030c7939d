# Where a command wants a container, the names of those that have a record.
_oci-link_names() {
    local -a names
    names=(${(f)"$(oci-link ls --names 2>/dev/null)"})
    compadd -a names
}

