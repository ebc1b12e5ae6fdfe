# From root it becomes `seaweed`, to whom the data belong.
set -eu
if [ "$(id -u)" -eq 0 ]; then
  chown -R seaweed:seaweed /data
  exec setpriv --reuid=seaweed --regid=seaweed --init-groups weed "$@"
fi
exec weed "$@"
