# Functions of build.sh that check the options of a sample before anything is restored or built. The sample checks them again.

fail() {
    echo "build.sh: $1" >&2
    exit 2
}

# Prints the help of a sample, or checks the options of a sample against its help, before anything is restored or built.
check() {
    local help=samples/$1/help.txt line name kind values
    shift
    for argument in "$@"; do
        case "$argument" in
            -h | -\? | --help) cat "$help" && exit ;;
        esac
    done
    while [ $# -gt 0 ]; do
        name=${1%%[=:]*} values=()
        line=$(awk -v name="$name" '$1 == name' "$help")
        [ -n "$line" ] || fail "unknown option '$name'; --help lists the options"
        kind=''
        if [[ $line =~ ^\ *--[a-z-]+\ \<([^>]*)\> ]]; then
            kind=${BASH_REMATCH[1]}
        fi
        if [[ $1 == *[=:]* ]]; then
            values=("${1#*[=:]}")
        elif [ -n "$kind" ]; then
            while [ $# -gt 1 ] && [[ $2 != --* ]]; do
                values+=("$2")
                shift
                [[ $kind == numbers:* ]] || break
            done
            [ ${#values[@]} -gt 0 ] || fail "$name needs a value: $kind"
        fi
        shift
        if [ ${#values[@]} -gt 0 ]; then
            for value in "${values[@]}"; do
                check_value "$name" "${kind#numbers: }" "$value"
            done
        fi
    done
}

check_value() {
    local name=$1 kind=$2 value=$3 good=yes
    case "$kind" in
        "whole number"*)
            [[ $value =~ ^-?[0-9]{1,18}$ ]] || good=no
            if [ $good = yes ] && [[ $kind =~ at\ least\ ([0-9]+) ]]; then
                ((value >= BASH_REMATCH[1])) || good=no
            fi
            if [ $good = yes ] && [[ $kind =~ multiple\ of\ ([0-9]+) ]]; then
                ((value % BASH_REMATCH[1] == 0)) || good=no
            fi
            ;;
        number*) [[ $value =~ ^-?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$ ]] || good=no ;;
        *"|"*) [[ "|$kind|" == *"|$value|"* ]] || good=no ;;
    esac
    [ $good = yes ] || fail "$name must be a $kind, got '$value'"
}
