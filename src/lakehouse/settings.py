"""One configuration for every service.

Precedence, lowest first: the defaults below, `lakehouse.toml`, environment variables
`LAKEHOUSE_<SECTION>__<KEY>`, arguments. Settings are frozen; nothing reads the environment later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from lakehouse import _settings_sources
from lakehouse.errors import InvalidInput

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Distance = Annotated[float, msgspec.Meta(ge=0, le=2)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway and what every face shares.

    Attributes:
        host: Address to listen on; one that others can reach needs TLS and a token or API keys.
        port: Port to listen on; 0 takes a free one.
        max_body_bytes: Largest JSON request.
        max_ingest_bytes: Largest upload, of a file to ingest or an object.
        shutdown_grace_ms: How long requests under way may take after a stop signal.
        threads: Calls that run at once, beside searches.
        upstream_threads: Calls that may wait for somebody else, such as a chat model, at once.
        max_waiting: Calls that may wait for a thread; more are refused as unavailable.
        token_env: Name of the environment variable that holds the bearer token to ask for.
        tls_cert: Certificate chain, PEM; with `tls_key` the server speaks HTTPS.
        tls_key: Its private key, PEM.
        behind_tls_proxy: True when a proxy in front of the server ends TLS.
        standby: Of a stack in several processes: keep one more loaded, which takes the place of one that ended.
    """

    host: str = "127.0.0.1"
    port: int = 3110
    max_body_bytes: Positive = 64 * 1024 * 1024
    max_ingest_bytes: Positive = 8 * 1024 * 1024 * 1024
    shutdown_grace_ms: Count = 10_000
    threads: Positive = 8
    upstream_threads: Positive = 32
    max_waiting: Count = 256
    token_env: str = "LAKEHOUSE_TOKEN"  # noqa: S105 - the name of a variable, not a secret
    tls_cert: str = ""
    tls_key: str = ""
    behind_tls_proxy: bool = False
    standby: bool = True


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Objects.

    Attributes:
        backend: `local` (a folder below the data folder), `s3`, or `memory` (gone with the process).
        bucket: Name of the S3 bucket.
        prefix: Put before every key in the bucket.
        endpoint: URL of an S3 service other than Amazon's.
        region: Region of the bucket.
        access_key_env: Name of the environment variable with the access key.
        secret_key_env: Name of the environment variable with the secret key.
        logs: Where a running stack puts its logs as well (`s3://BUCKET/PREFIX`, reached as this section says); empty
            leaves them in the data folder alone.
        logs_every_s: How often it looks for new rows of its own, and for those of others.
    """

    backend: str = "local"
    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key_env: str = "AWS_ACCESS_KEY_ID"
    secret_key_env: str = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable
    logs: str = ""
    logs_every_s: Seconds = 10


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes in place: memory, demands, bookings, messages, subjects, keys.

    Attributes:
        url: A Postgres database that several stacks share (`postgresql+pg8000://user@host/name`), each with a data
            folder of its own; empty means SQLite inside the data folder.
    """

    url: str = ""


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dataset manifests.

    Attributes:
        uri: The table catalog: empty means SQLite inside the data folder; else a database (`sqlite:////path`,
            `postgresql+pg8000://user@host/name`) or the `http://` or `https://` address of an Iceberg REST catalog.
        warehouse: Where table files lie: empty means the data folder; else a folder, or `s3://bucket/prefix` reached as
            `storage` says (endpoint, region, keys).
        credential_env: Name of the environment variable with a REST catalog's `id:secret` or token.
        keep_snapshots: Snapshots of a dataset that are kept.
        max_age_days: Older snapshots are expired in the background, all but the newest; 0 keeps them.
        maintain_every_ms: Time between two looks for snapshots to expire and files nobody refers to; 0 means never.
        orphan_grace_ms: Age at which a file that no snapshot refers to is taken for one a crash left; longer than any
            write takes.
    """

    uri: str = ""
    warehouse: str = ""
    credential_env: str = "LAKEHOUSE_CATALOG_CREDENTIAL"
    keep_snapshots: Positive = 20
    max_age_days: NotNegative = 0.0
    maintain_every_ms: Count = 3_600_000
    orphan_grace_ms: Count = 86_400_000


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in.

    Attributes:
        batch_rows: Rows read and written at a time.
        max_rejected_reported: Bad rows that a report lists; all are counted.
    """

    batch_rows: Positive = 50_000
    max_rejected_reported: Count = 1_000


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SQL over datasets.

    Attributes:
        timeout_ms: Longest run of a query that does not set its own limit.
        memory_limit_bytes: Most memory for all queries together.
        max_rows: Most rows of one answer.
        threads: Threads of the query engine.
        refresh_every_ms: How old the engine's view of the datasets may be.
        engine: "duckdb" on this machine, or "spark": statements that read datasets run on the server of `spark_url`,
            which must reach the data files under the same paths.
        spark_url: Spark Connect server, such as "sc://spark.internal:15002".
        spark_token_env: Name of the environment variable with the server's bearer token; empty for none.
    """

    timeout_ms: Positive = 30_000
    memory_limit_bytes: Positive = 2 * 1024**3
    max_rows: Positive = 10_000
    threads: Positive = 2
    refresh_every_ms: Count = 1_000
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark_url: str = ""
    spark_token_env: str = ""


class Embed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Text to vectors.

    Attributes:
        model: Model of every index that does not name one.
        model_path: Folder with the weights; empty means the installed package, else `hub_url`.
        hub_url: Where the weights are fetched when no package has them; checked by their hash.
        cache_path: Keeps the model in the form it is loaded from; empty means the user's cache folder.
        batch_size: Texts embedded at a time.
        threads: Threads of the model.
        memory_cache_items: Vectors kept in memory by their text; the 4,096 latest demands keep theirs besides.
        max_text_bytes: Longest text, as UTF-8.
        ollama_url: Ollama server for models of that name.
        url: Embedding service of another process (`lakehouse serve embedd`); empty means in this one.
        token_env: Name of the environment variable with the bearer token for `url`, if it asks for one.
        shared_vectors: Folder in which builds look for vectors, and leave theirs, by the content of the text; several
            machines may see it. Empty means none.
        spark_url: Spark Connect server (`sc://spark.internal:15002`) whose workers embed the texts of large builds into
            `shared_vectors`; empty means that builds embed in this machine.
        spark_token_env: Name of the environment variable with the server's bearer token; empty for none.
        spark_from: Texts from which on they do.
    """

    model: str = "all-MiniLM-L6-v2"
    model_path: str = ""
    hub_url: str = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main"
    cache_path: str = ""
    batch_size: Positive = 32
    threads: Positive = 2
    memory_cache_items: Count = 2_048
    max_text_bytes: Positive = 32 * 1024
    ollama_url: str = "http://127.0.0.1:11434"
    url: str = ""
    token_env: str = "LAKEHOUSE_TOKEN"  # noqa: S105 - the name of a variable, not a secret
    shared_vectors: str = ""
    spark_url: str = ""
    spark_token_env: str = ""
    spark_from: Count = 5_000


class Vectors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Named indexes.

    Attributes:
        ef_search: Candidates looked at by a search; more is slower and finds more.
        ef_construct: Candidates looked at when an item is linked in.
        m: Links of an item.
        fresh_limit: Items beside the built part that start a rebuild in the background.
        exact_below: Indexes smaller than this are always searched exactly.
        laid_by: Metadata keys, the most telling first: a build lays items of the same values side by side on disk, so
            that a search among them reads one stretch.
        scratch: Folder for what a build needs until it is done; empty means memory (`/dev/shm`) while an eighth of what
            is free there is enough, else beside the index.
        engine: Where the items of new indexes lie: "local" (the data folder), "qdrant" or "pgvector" (a server). The
            indexes of memory are local in any case.
        url: Of the server: `http(s)://host:6333` of Qdrant, or `postgresql+pg8000://user@host/name`. A folder for
            Qdrant means what its client can do without a server, to try it out.
        key_env: Name of the environment variable with Qdrant's API key or Postgres' password, if it asks for one.
        timeout_ms: How long the server may take for one request.
        shards: Shards of a new index on Qdrant; 0 leaves it to the server.
        replicas: Copies of each of them; a write is acknowledged when all have it.
    """

    ef_search: Positive = 128
    ef_construct: Positive = 200
    m: Positive = 16
    fresh_limit: Count = 5_000
    exact_below: Count = 12_000
    laid_by: tuple[str, ...] = ("role_code", "state")
    scratch: str = ""
    engine: Literal["local", "qdrant", "pgvector"] = "local"
    url: str = ""
    key_env: str = "LAKEHOUSE_VECTORS_KEY"
    timeout_ms: Positive = 30_000
    shards: Count = 0
    replicas: Positive = 1


class Matrix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Search with memory. Distances are cosine distances, 0 to 2.

    Attributes:
        boost_within: Farthest recorded query that moves a remembered answer closer.
        inject_within: Farthest recorded query that puts a missing answer in.
        inject_unknown: Whether a missing answer is put in although the role of either demand is unknown, or it is not
            known of the person whether they meet the demand.
        half_life_days: Days in which what outcomes say of a remembered answer fades by half; 0 keeps it for ever.
        holdout: Share of demands, 0 to 1, that memory leaves alone so that its effect can be measured.
        near_km: How far from a place still counts as there.
        good_rating: Least rating of a good match, 1 to 5.
        max_k: Most results of one search, at most 10,000.
        kept_answers: Answers kept to be given again while nothing they were made from has changed; 0 keeps none.
    """

    boost_within: Distance = 0.5
    inject_within: Distance = 0.20
    inject_unknown: bool = False
    half_life_days: NotNegative = 365.0
    holdout: Share = 0.0
    near_km: NotNegative = 40.0
    good_rating: Annotated[int, msgspec.Meta(ge=1, le=5)] = 4
    max_k: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10_000
    kept_answers: Count = 500


class ChatProvider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider of chat models, `[chat.providers.NAME]`.

    Attributes:
        base_url: Where it is; what comes before `/chat/completions`, for Ollama before `/api/chat`.
        key_env: Name of the environment variable with the key; empty means that it needs none.
        prefix: Chooses it in a model's name; empty means `NAME/`.
        protocol: `openai` (Chat Completions) or `ollama`.
        thinking: How it is told not to think aloud: `reasoning`, `template`, or empty for not at all.
        schemas: Whether it takes a JSON Schema.
        at_once: Calls to it at once.
    """

    base_url: str
    key_env: str = ""
    prefix: str = ""
    protocol: Literal["openai", "ollama"] = "openai"
    thinking: Literal["", "reasoning", "template"] = ""
    schemas: bool = True
    at_once: Positive = 8


class ChatBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a namespace may use, `[chat.budgets.NAME]`; `*` is for those that have none of their own.

    Attributes:
        requests: Most requests in a window; 0 means any number.
        tokens: Most tokens in a window, of prompts and answers; 0 means any number.
        window_s: Length of the window.
    """

    requests: Count = 0
    tokens: Count = 0
    window_s: Positive = 3_600


class Chat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Chat models. `ollama` is always registered, `ollama_cloud`, `openrouter`, `opencode` and `kimi` with a key only.

    Attributes:
        default_provider: Gets models without a prefix.
        ollama_url: Ollama server of the provider `ollama`.
        env_file: File with lines `NAME=value`, for keys that the environment does not have.
        draft_model: Offered on the console's outreach page to write in place of the template; empty offers none.
        timeout_ms: Time for an answer when a request does not say, retries included.
        retries: How often a request is sent again when that can help.
        max_answer_bytes: Largest answer.
        max_waiting: Calls that may wait for a provider beside those at once.
        personal_providers: Providers on other machines that may get requests marked personal.
        record: File to which every exchange with a provider is written, without keys; empty means none.
        replay: File of such exchanges from which requests are answered, and no provider is asked; empty means none.
        fallbacks: Model to the models that are asked when it fails, in order.
        providers: Further providers, or others in place of the built-in ones.
        budgets: By namespace.
        budget_folder: Where it is counted what they used, below the data folder unless absolute; stacks that name the
            same folder share their budgets.
    """

    default_provider: str = "ollama"
    ollama_url: str = "http://127.0.0.1:11434"
    env_file: str = ""
    draft_model: str = ""
    timeout_ms: Positive = 120_000
    retries: Count = 2
    max_answer_bytes: Positive = 8 * 1024 * 1024
    max_waiting: Count = 64
    personal_providers: tuple[str, ...] = ()
    record: str = ""
    replay: str = ""
    fallbacks: dict[str, tuple[str, ...]] = {}
    providers: dict[str, ChatProvider] = {}
    budgets: dict[str, ChatBudget] = {}
    budget_folder: str = "budgets"


class Validatord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Validators and the iterate loop.

    Attributes:
        roster: Corpus or dataset that people must be in when a request names none; empty means all corpora.
        near_km: Farthest home from the place of work in a fill.
        sms_segments: A text message has at most 160 characters for each; if the network needs more, that is a warning.
        session_log_path: Log of all iterates, below the data folder unless absolute; empty means none is kept.
        max_iterations: Tries of an iterate that does not say.
        max_tokens: Completion tokens of all tries of an iterate that does not say.
        deadline_ms: Time of an iterate that does not say.
    """

    roster: str = ""
    near_km: NotNegative = 40.0
    sms_segments: Positive = 1
    session_log_path: str = "logs/sessions.jsonl"
    max_iterations: Positive = 3
    max_tokens: Positive = 8_192
    deadline_ms: Positive = 120_000


class Observer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ops: what was done, kept in memory and in `logs/ops.jsonl`.

    Attributes:
        ring: Newest ops kept in memory, for `stats` and `ops`.
        queue: Ops that may wait for the disk; more are dropped and counted.
        write_every_ms: How long ops are gathered before they are written and synced together.
    """

    ring: Count = 10_000
    queue: Count = 100_000
    write_every_ms: Count = 200


class Inbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages of clients: where a running stack looks for new ones.

    Attributes:
        maildir: Folder in maildir form whose new messages are taken in; empty means none.
        imap_host: IMAP server, reached by TLS; empty means none.
        imap_port: Its port.
        imap_user: Name to log in with.
        imap_password_env: Name of the environment variable with the password.
        imap_folder: Folder whose unseen messages are taken in, and marked as seen.
        poll_every_ms: How often both are looked at.
    """

    maildir: str = ""
    imap_host: str = ""
    imap_port: Port = 993
    imap_user: str = ""
    imap_password_env: str = "LAKEHOUSE_IMAP_PASSWORD"  # noqa: S105 - the name of a variable, not a secret
    imap_folder: str = "INBOX"
    poll_every_ms: Positive = 30_000


class Traces(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Spans: what a call did inside. Off by default; ops carry the trace id in any case.

    Attributes:
        log: Keep spans in `logs/spans.jsonl`, for `lakehouse trace show`.
        endpoint: OTLP/HTTP address that spans are sent to, such as `http://127.0.0.1:4318/v1/traces`; empty means
            nowhere.
        headers_env: Name of the environment variable with headers for it, `Name=value` parted by commas.
        service: Name of this service in a trace.
        content: Also send what went in and came out; contact data is masked, names of people are not.
        langfuse: Also give Langfuse's own attributes (session, tags, input, output).
        session: Session to which all traces of this process belong, for Langfuse.
        tags: Tags of all traces of this process, parted by commas, for Langfuse.
        queue: Spans that may wait to be sent or written; more are dropped and counted.
        send_every_ms: How long spans are gathered before they are sent.
        timeout_ms: How long a collector may take; what it does not take in time is dropped and counted.
    """

    log: bool = False
    endpoint: str = ""
    headers_env: str = "LAKEHOUSE_OTLP_HEADERS"
    service: str = "lakehouse"
    content: bool = False
    langfuse: bool = False
    session: str = ""
    tags: str = ""
    queue: Count = 10_000
    send_every_ms: Count = 1_000
    timeout_ms: Positive = 10_000


class Workflow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Runs of several steps.

    Attributes:
        max_nodes: Most nodes of one run.
        max_output_bytes: Largest output of a node, as JSON.
    """

    max_nodes: Positive = 200
    max_output_bytes: Positive = 4 * 1024 * 1024


class Ledger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who saw and used whose data.

    Attributes:
        enabled: Whether rows are written.
        keys: Folder of the key files; empty means `ledger/keys` in the data folder, made on first use.
        anchor: A second place for signed checkpoints: a folder, `git:FOLDER` or `s3://BUCKET/PREFIX`; empty for none.
        checkpoint_every_s: Seconds between checkpoints while rows are written; 0 makes them only at the end.
    """

    enabled: bool = True
    keys: str = ""
    anchor: str = ""
    checkpoint_every_s: NotNegative = 60


class Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tiers to model names.

    Attributes:
        embed: Embedding model; `embed.model` says the same, and counts where both are set in one place.
        local_judge: Chat model that rates; empty means rules only.
        local_parse: Chat model that reads roles the rules do not find, for who asks with `use_model`; empty means rules
            only.
        weak_models: Models that get the full context.
    """

    embed: str = "all-MiniLM-L6-v2"
    local_judge: str = ""
    local_parse: str = ""
    weak_models: tuple[str, ...] = ()


class Logging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Service logs: JSON lines on standard error, or in a file.

    Attributes:
        level: `debug`, `info` (one line a request), `warning` or `error`.
        file: Where they go instead of standard error.
        max_bytes: Size at which the file is put aside as `FILE.1` and a new one begun.
        keep_files: How many of those put aside are kept.
    """

    level: str = "info"
    file: str = ""
    max_bytes: Positive = 32 * 1024 * 1024
    keep_files: Count = 4


class Stacks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Named stacks, see `lakehouse up --stack`.

    Attributes:
        folder: Where they are recorded; empty means `lakehouse/stacks` in the user's state folder.
    """

    folder: str = ""


class Learn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Training data.

    Attributes:
        evaluation_sets: Files of texts that must never be learnt, below the data folder unless absolute; a line is a
            text, or a JSON object whose texts all count.
        near_duplicate: Share of five-letter runs from which a row repeats an earlier one and is dropped.
        validation_share: Share of the groups of lineage that is kept for validation, at most half.
    """

    evaluation_sets: tuple[str, ...] = ()
    near_duplicate: Share = 0.85
    validation_share: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.1


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sections. Every key has a default, so the embedded mode needs no file.

    Attributes:
        data: Folder of the lake.
    """

    data: str = "./lake"
    server: Server = Server()
    storage: Storage = Storage()
    state: State = State()
    catalog: Catalog = Catalog()
    ingest: Ingest = Ingest()
    query: Query = Query()
    embed: Embed = Embed()
    vectors: Vectors = Vectors()
    matrix: Matrix = Matrix()
    chat: Chat = Chat()
    validatord: Validatord = Validatord()
    observer: Observer = Observer()
    inbox: Inbox = Inbox()
    workflow: Workflow = Workflow()
    traces: Traces = Traces()
    ledger: Ledger = Ledger()
    learn: Learn = Learn()
    models: Models = Models()
    logging: Logging = Logging()
    stacks: Stacks = Stacks()


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the configuration.

    Args:
        path: A TOML file; `None` means `$LAKEHOUSE_CONFIG`, else `./lakehouse.toml` when it is there.
        environ: Environment to read, `os.environ` by default.
        overrides: Highest precedence, nested like the file (`{"server": {"port": 0}}`).

    Raises:
        InvalidInput: A named file is missing, or a section, key or value is unknown or of the wrong
            type; the message names it and where it was set.
    """
    environ = os.environ if environ is None else environ
    layers = [
        _settings_sources.from_file(path, environ),
        ("the environment", _settings_sources.from_environ(environ)),
        ("the arguments", dict(overrides or {})),
    ]
    merged: dict[str, Any] = {}
    for source, layer in layers:
        merged = _settings_sources.merge(merged, _settings_sources.with_embedding_model(layer))
        _convert(merged, source)
    return _convert(merged, "the settings")


def _convert(values: Mapping[str, Any], source: str) -> Settings:
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"setting refused, from {source}: {error}", source=source) from None
