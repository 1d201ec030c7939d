
# Where a command wants a container, the names of those that have a record; behind the container that
# is to be disconnected, the names that it has for others.
_oci_link_with_names() {
    local at wanted=(--names)
    _oci__link "$@"
    [[ $2 == -* ]] && return
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            inspect | connect | disconnect)
                [[ ${COMP_WORDS[at]} == disconnect ]] && ((COMP_CWORD > at + 1)) \
                    && wanted=(--aliases "${COMP_WORDS[at + 1]}")
                COMPREPLY=($(compgen -W "$("$1" ls "${wanted[@]}" 2>/dev/null)" -- "$2"))
                return
                ;;
        esac
    done
}
complete -F _oci_link_with_names oci-link
