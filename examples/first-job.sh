#!/usr/bin/env bash
# Creates an Assignment with its first Build, starts a Job on it, waits for the Job to end and prints what was said.
#
#   API_KEY=dv_… [BASE_URL=http://127.0.0.1:8080/v1] examples/first-job.sh
#
# Needs bash, curl and jq. PATIENCE is how many seconds to wait (default 600). Exits with 1 unless the Job completes.
set -euo pipefail

: "${API_KEY:?set API_KEY to a key of your server; its first start prints one}"
BASE_URL="${BASE_URL:-http://127.0.0.1:8080/v1}"
PATIENCE="${PATIENCE:-600}"

# call METHOD PATH [curl options…]: prints the answer; an error status ends the script with the server's words.
call() {
  local method="$1" path="$2" answer
  shift 2
  # The key goes in over standard input: command lines can be read by other users of a machine.
  if ! answer=$(curl -sS --fail-with-body -X "$method" "$BASE_URL$path" -H @- "$@" <<<"Authorization: Bearer $API_KEY"); then
    printf '%s\n' "$answer" >&2
    return 1
  fi
  printf '%s' "$answer"
}

# 1. An Assignment: a name and a first Build, whose input is the procedure to follow.
sop='Take the invoices among your files and list their line items in a table. If there are none, say so and finish.'
assignment=$(jq -n --arg sop "$sop" '{
  name: "Invoice Processor",
  build: {
    name: "v1",
    config: {version: "v2", data: {models: {agent: {model: "claude-sonnet-4-6"}}, input: $sop, files: [], skills: []}}
  }
}')
created=$(call POST /agents -H 'Content-Type: application/json' -d "$assignment")
agent=$(jq -r .agent.id <<<"$created")
echo "Assignment $agent, Build $(jq -r .build.revision_number <<<"$created")"

# 2. A Job. The answer comes at once; the work goes on.
run=$(call POST /runs -H 'Content-Type: application/json' -d "$(jq -n --arg agent "$agent" '{agent_id: $agent}')" | jq -r .run.id)
echo "Job $run"

# 3. Wait for its end. A Job that asks something waits until somebody answers.
asked=''
deadline=$((SECONDS + PATIENCE))
while true; do
  state=$(call GET "/runs/$run")
  status=$(jq -r .run.status <<<"$state")
  case "$status" in
    completed | failed | interrupted) break ;;
    waiting)
      request=$(jq -r '.pending_human_request.id // empty' <<<"$state")
      if [[ -n "$request" && "$request" != "$asked" ]]; then
        asked="$request"
        echo "It asks: $(jq -r .pending_human_request.title <<<"$state") (errand runs respond $run --help)"
      fi
      ;;
  esac
  if ((SECONDS >= deadline)); then
    echo "still $status after $PATIENCE seconds" >&2
    exit 1
  fi
  sleep 0.5
done

# 4. What was said.
call GET "/runs/$run/messages?limit=100" |
  jq -r '.messages[] | select(.text_content) | "\(.role): \(.text_content)"'
echo "The Job is $status."
[[ "$status" == completed ]]
