
# Where a command wants a container, the names of those that have a record.
_oci_link_with_names() {
    local word
    _oci__link "$@"
    [[ $2 == -* ]] && return
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            inspect | connect | disconnect)
                COMPREPLY=($(compgen -W "$("$1" ls --names 2>/dev/null)" -- "$2"))
                return
                ;;
        esac
    done
}
complete -F _oci_link_with_names oci-link
