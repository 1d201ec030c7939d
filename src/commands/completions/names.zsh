# Where a command wants a container, the names of those that have a record.
_oci-link_names() {
    local -a names
    names=(${(f)"$(oci-link ls --names 2>/dev/null)"})
    compadd -a names
}

# The names that the container has for others that is to be disconnected: it comes first.
_oci-link_aliases() {
    local -a aliases
    aliases=(${(f)"$(oci-link ls --aliases "$words[2]" 2>/dev/null)"})
    compadd -a aliases
}
