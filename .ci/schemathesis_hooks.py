"""What .ci/schemathesis tells schemathesis beside the document: which answers follow which, where the contract and a check disagree, and what
another team's key must never get.

ERRAND_EDGE_HOOK is where webhooks of started runs go; ERRAND_EDGE_IDS a file in which the first pass
leaves the ids that it was given and the names of the operations that succeeded. With
ERRAND_EDGE_FOREIGN those ids are what the requests of this pass are about, and its key is another team's; ERRAND_EDGE_CANARY is a text that
stands in everything that the first team made by hand, ERRAND_EDGE_KEY that team's key.
"""

import atexit
import json
import os
import random
import re

import jsonschema_rs
import requests
import schemathesis

HOOK = os.environ["ERRAND_EDGE_HOOK"]
IDS = os.environ["ERRAND_EDGE_IDS"]
CANARY = os.environ["ERRAND_EDGE_CANARY"]
KEY = os.environ["ERRAND_EDGE_KEY"]
FOREIGN = "ERRAND_EDGE_FOREIGN" in os.environ


# --- Where the contract and positive_data_acceptance disagree ----------------------------------------------------------------------------------
CONFIGS, CONFIG = {"agent.create", "build.create"}, re.compile("^/(build/)?config")
# What even a config in the form that is served may not hold.
STRICTER = re.compile(r"U\+0000|expected HTTP header names as keys")
# The contract's schemas are kept to the letter, and say less than what is meant: (operations or None for all, what the refusal says, why).
REFUSED_BY_RIGHT = [
    (None, r"U\+0000", "no text of the API may hold U+0000; the contract's types say only string"),
    (None, r"^This Idempotency-Key was sent with another body", "one key for two bodies is refused: what it is for"),
    (None, r"has at most 1,?000 characters|at most 1,?000 characters", "the contract has no longest name"),
    (CONFIGS, CONFIG, "config is any object in the contract; what cannot be served back in its answers is refused"),
    ({"run.list"}, r"`(limit|offset)`: expected (an integer|a whole number)", "limit and offset are numbers in the contract, and whole in meaning"),
    ({"agent.list", "build.list", "run.list", "message.list", "dead_letter.list", "file.list"}, r"`offset`: expected", "the contract has no largest offset"),
    ({"upload_url.create", "sandbox.upload", "sandbox.list_files", "sandbox.download", "file.push"}, r"^path: |^/path: |^A file that is the whole body|^The file has no name|^.* is outside /workspace|is a file, not a folder|is a folder, not a file", "a path is any string in the contract; one that names nothing in a sandbox is refused"),
    ({"event.stream"}, r"^There is no event", "how far the journal goes is no part of a request's shape"),
    ({"run.start"}, r"^/webhook_url", "a URI in the contract; what no server could call is refused"),
    ({"run.start"}, r"^The agent has no build yet", "the state of the agent is no part of a request's shape"),
    ({"message.post"}, r"^The run has failed|^/message", "the state of the run is no part of a request's shape"),
    ({"human_request.respond"}, r".", "what an answer must have goes by the question: the contract's shape takes an empty one"),
]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure counts."""
    operation = case.operation.definition.raw.get("operationId")
    if type(failure).__name__ == "AcceptedNegativeData":
        # The contract's schema says 50 messages at most, its guide 100: so many are given, and the document is the schema's.
        limit = str((case.query or {}).get("limit", ""))
        generous = operation == "message.list" and limit.isdigit() and 50 < int(limit) <= 100
        # A field of a form has no type: what is no text is sent as some, or not at all.
        untyped = case.media_type == "multipart/form-data" and "in body - violates `type` at /properties/path" in failure.message
        return not (generous or untyped)
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    try:
        said = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        return True
    if operation in CONFIGS and servable is not None and CONFIG.search(said) and not STRICTER.search(said):
        config = case.body.get("build", case.body).get("config") if isinstance(case.body, dict) else None
        if servable.is_valid(config):
            return True
    return not any((of is None or operation in of) and re.search(words, said) for of, words, _ in REFUSED_BY_RIGHT)


# --- Which answers follow which ----------------------------------------------------------------------------------------------------------------
# What is served as a config, and what is in an event, from the document in the words of JSON Schema.
servable = journal = None


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Half of the configs that are sent are such as are served: the contract takes any object, which nearly none of its objects is in earnest."""
    global servable, journal
    schemas = raw_schema["components"]["schemas"]
    if raw_schema["openapi"].startswith("3.1"):
        servable = jsonschema_rs.validator_for({"$ref": "#/components/schemas/Config", "components": {"schemas": schemas}})
        journal = jsonschema_rs.validator_for({"$ref": "#/components/schemas/Event", "components": {"schemas": schemas}})
    for name in ("NewBuild", "CreateBuild"):
        config = schemas[name]["properties"]["config"]
        schemas[name]["properties"]["config"] = {"anyOf": [{"$ref": "#/components/schemas/Config"}, config]}
    add_links(raw_schema)
    events = raw_schema["paths"]["/v1/runs/{run_id}/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    # A stream is one string in the words of 3.1; schemathesis reads it event by event, each an object of its fields.
    events["schema"] = {"type": "object", "required": ["id", "event", "data"]}


def add_links(raw_schema):
    """Links for what inference does not find: a run needs an agent with a build, and all else about runs needs a run."""
    operations = {operation["operationId"]: operation for path in raw_schema["paths"].values() for operation in path.values()}

    def link(source, status, target, **how):
        links = operations[source]["responses"][status].setdefault("links", {})
        links[f"{target} {len(links)}"] = {"operationId": target, **how}

    link("agent.create", "201", "run.start", requestBody={"agent_id": "$response.body#/agent/id"})
    link("build.create", "201", "run.start", requestBody={"agent_id": "$response.body#/agent/id"})
    for target in ("run.get", "event.stream", "message.list", "message.post", "run.stop"):
        link("run.start", "201", target, parameters={"run_id": "$response.body#/run/id"})
    link("run.start", "201", "sandbox.list_files", parameters={"sandbox_id": "$response.body#/run/sandbox_id"})
    both = {"run_id": "$response.body#/run/id", "request_id": "$response.body#/pending_human_request/id"}
    link("run.get", "200", "human_request.respond", parameters=both)
    link("run.get", "200", "run.get", parameters={"run_id": "$response.body#/run/id"})
    link("dead_letter.list", "200", "dead_letter.replay", parameters={"letter_id": "$response.body#/dead_letters/0/id"})
    link("upload_url.create", "200", "upload_url.put", parameters={"upload_token": "$response.body#/upload_url#regex:uploads/(.+)"})
    link("upload_url.create", "200", "upload_url.post", parameters={"upload_token": "$response.body#/upload_url#regex:uploads/(.+)"})
    link("sandbox.upload", "201", "sandbox.download", parameters={"sandbox_id": "$request.path.sandbox_id", "path": "$response.body#/path"})


# --- What is sent ------------------------------------------------------------------------------------------------------------------------------
seen = {"agent_id": [], "build_id": [], "run_id": [], "request_id": [], "sandbox_id": [], "file_id": [], "letter_id": [], "succeeded": []}
if os.path.exists(IDS):
    with open(IDS) as file:
        seen = json.load(file)
theirs = {id for name, ids in seen.items() if name != "succeeded" for id in ids}
asked = []


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts ids of what is there into requests that are not wrong on purpose; in the second pass, ids of the first team's into all."""
    body = case.body if isinstance(case.body, dict) else {}
    # Nothing of this test may leave the machine.
    if isinstance(body.get("webhook_url"), str) and ":" in body["webhook_url"]:
        body["webhook_url"] = HOOK
    made = case.meta and case.meta.generation.mode.is_positive
    if made and case.meta.phase.name.value == "stateful":
        # A chain brings its ids, but for the sandbox, of which a run needs none.
        body.pop("sandbox_id", None)
    elif FOREIGN or (made and random.random() < 0.7):
        for place in (case.path_parameters or {}, case.query or {}, body):
            for name in list(place):
                if name.endswith("_id") and seen.get(name):
                    place[name] = random.choice(seen[name])
        if "request_id" in (case.path_parameters or {}) and not FOREIGN and asked:
            # A question is one run's, and is answered once.
            case.path_parameters.update(asked.pop())
    if case.path.endswith("/events") and not FOREIGN:
        # The stream of a run that waits for a person has no end.
        stop = f"{case.operation.base_url.rstrip('/')}{case.formatted_path.removesuffix('/events')}/stop"
        requests.post(stop, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)


@schemathesis.hook
def after_call(context, case, response):
    if FOREIGN or response.status_code >= 300:
        return
    operation = case.operation.definition.raw.get("operationId")
    if operation not in seen["succeeded"]:
        seen["succeeded"].append(operation)
    try:
        answer = response.json()
    except ValueError:
        return
    if not isinstance(answer, dict):
        return
    found = [
        # One without a build can do nothing.
        ("agent_id", (answer.get("build") or {}).get("agent_id")),
        ("build_id", (answer.get("build") or {}).get("id")),
        ("run_id", (answer.get("run") or {}).get("id")),
        ("sandbox_id", answer.get("sandbox_id") or (answer.get("run") or {}).get("sandbox_id")),
        ("request_id", (answer.get("pending_human_request") or {}).get("id")),
        ("file_id", (answer.get("file") or {}).get("id")),
        ("letter_id", next((letter["id"] for letter in answer.get("dead_letters", [])), None)),
    ]
    for name, id in found:
        if id:
            seen[name] = [*seen[name][-500:], id]
    if answer.get("pending_human_request"):
        asked.append({"run_id": answer["run"]["id"], "request_id": answer["pending_human_request"]["id"]})


@atexit.register
def keep():
    if not FOREIGN:
        with open(IDS, "w") as file:
            json.dump(seen, file)


# --- What an event stream holds ----------------------------------------------------------------------------------------------------------------
@schemathesis.check
def events_are_as_documented(ctx, response, case):
    """Each event is one of the journal, and none is missing."""
    if journal is None or not response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        return
    # Not at the other line ends that Python knows: those may stand in texts.
    lines = re.split("\r\n|\n|\r", response.text)
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    for event in events:
        journal.validate(event)
    numbers = [event["seq"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True, f"a gap: {numbers}"


# --- What another team's key gets --------------------------------------------------------------------------------------------------------------
@schemathesis.check
def foreign_is_unknown(ctx, response, case):
    """Of what is another team's nothing is shown, nothing is changed, and nothing tells that it is there."""
    if not FOREIGN:
        return
    assert CANARY not in response.text, "the answer holds what another team made"
    body = case.body if isinstance(case.body, dict) else {}
    named = [value for place in (case.path_parameters or {}, body) for value in place.values() if isinstance(value, str)]
    if any(value in theirs for value in named):
        assert response.status_code >= 400, f"{response.status_code} to a request about what another team has"
        assert response.status_code != 409, "tells that somebody has it"
