# Clears a folder away, with the program that runs in it, once the process that uses the folder has ended.
#
#     sh -c <this text> caretaker <folder> <last signal>
#
# Standard input is a pipe whose other end only that process holds. The system closes it when the process ends,
# even when the process is killed and can do nothing any more. Until then each line of it is the process group of
# the program that has been started in the folder, or empty when that program has ended.

# What is meant for the tests, such as the end of their terminal, must not keep the clearing from being done.
trap '' HUP INT QUIT TERM

folder=$1
last_signal=$2
group=
while read -r line; do
    group=$line
done

# Succeeds as long as a process of the group is there, if only as one that nobody has waited for yet.
send() {
    kill -s "$1" -- "-$group" 2>/dev/null
}

if [ "$group" ]; then
    # A stopped process notices no signal but KILL.
    send CONT
    send "$last_signal"
    tries=0
    while send 0 && [ "$tries" -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    send KILL
fi

# A process that is just being killed may still write a file into a folder that is being emptied.
for seconds in 0 0.2 1 3; do
    sleep "$seconds"
    rm -rf -- "$folder" && break
done
