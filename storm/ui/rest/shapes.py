"""The shapes of all answers: keys and types, as in Storm's REST API; pure. `json_schema` is for OpenAPI.

A shape is a type ("integer", with a `?` where null may stand), a list with one shape, a tuple of shapes one of which it
has, or a mapping of keys to shapes; the key `*` stands for names that are data, such as components, and a key with a
`?` at its end may be missing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Shape: TypeAlias = "str | list[Any] | tuple[Any, ...] | dict[str, Any]"

TEXT, WHOLE, NUMBER, FLAG, ANY = "string", "integer", "number", "boolean", "any"
TEXT_OR_NULL, WHOLE_OR_NULL, NUMBER_OR_NULL, FLAG_OR_NULL = "string?", "integer?", "number?", "boolean?"
AS_TEXT = TEXT  # a number with three decimals, as text

SHOWS_RESOURCES = {"schedulerDisplayResource": FLAG}
LOG_VIEWER = {"logviewerPort": WHOLE, "logviewerScheme": TEXT}
UPTIME = {"uptime": TEXT, "uptimeSeconds": WHOLE}
COUNTS = {"emitted": WHOLE, "transferred": WHOLE, "acked": WHOLE, "failed": WHOLE}
LINKS_ELSEWHERE = {"bugtracker-url": TEXT_OR_NULL, "central-log-url": TEXT_OR_NULL}
DEBUGGING = {"debug": FLAG, "samplingPct": NUMBER}
WISHES = {"requestedMemOnHeap": NUMBER, "requestedMemOffHeap": NUMBER, "requestedCpu": NUMBER}
WINDOW = {"windowPretty": TEXT, "window": TEXT}
BOLT_FIGURES = {"capacity": AS_TEXT, "executeLatency": AS_TEXT, "executed": WHOLE, "processLatency": AS_TEXT}

CLUSTER_CONFIGURATION = {"*": ANY}
CLUSTER_SUMMARY = {
    "user": TEXT_OR_NULL,
    "stormVersion": TEXT,
    "stormVersionInfo": dict.fromkeys(("version", "revision", "branch", "date", "srcChecksum"), TEXT),
    "supervisors": WHOLE,
    "topologies": WHOLE,
    "slotsTotal": WHOLE,
    "slotsUsed": WHOLE,
    "slotsFree": WHOLE,
    "executorsTotal": WHOLE,
    "tasksTotal": WHOLE,
    "totalMem": NUMBER,
    "availMem": NUMBER,
    "totalCpu": NUMBER,
    "availCpu": NUMBER,
    "totalGenerics": TEXT,
    "availGenerics": TEXT,
    "fragmentedMem": NUMBER,
    "fragmentedCpu": NUMBER,
    "memAssignedPercentUtil": AS_TEXT,
    "cpuAssignedPercentUtil": AS_TEXT,
    **LINKS_ELSEWHERE,
    **SHOWS_RESOURCES,
}
NIMBUS_SUMMARY = {
    "nimbuses": [
        {
            "host": TEXT,
            "port": ANY,  # text where it is offline
            "status": TEXT,
            "version": TEXT,
            "nimbusUpTime": TEXT,
            "nimbusUpTimeSeconds": ANY,  # text where it is offline
            "nimbusLogLink": TEXT,
        }
    ]
}
SUPERVISOR = {
    "id": TEXT,
    "host": TEXT,
    **UPTIME,
    "slotsTotal": WHOLE,
    "slotsUsed": WHOLE,
    "slotsFree": WHOLE,
    "totalMem": NUMBER,
    "usedMem": NUMBER,
    "availMem": NUMBER,
    "totalCpu": NUMBER,
    "usedCpu": NUMBER,
    "availCpu": NUMBER,
    "totalGenericResources": TEXT,
    "usedGenericResources": TEXT_OR_NULL,
    "availGenericResources": TEXT,
    "version": TEXT,
    "blacklisted": FLAG,
    "logLink": TEXT,
}
WORKER = {
    "supervisorId": TEXT,
    "host": TEXT,
    "port": WHOLE,
    "topologyId": TEXT,
    "topologyName": TEXT,
    "executorsTotal": WHOLE,
    "assignedMemOnHeap": NUMBER,
    "assignedMemOffHeap": NUMBER,
    "assignedCpu": NUMBER,
    "componentNumTasks": {"*": WHOLE},
    **UPTIME,
    "workerLogLink": TEXT,
    "owner": TEXT_OR_NULL,
}
SUPERVISOR_SUMMARY = {"supervisors": [SUPERVISOR], **SHOWS_RESOURCES, **LOG_VIEWER}
SUPERVISOR_PAGE = {**SUPERVISOR_SUMMARY, "workers": [WORKER]}

IDENTITY = {
    "id": TEXT, "encodedId": TEXT, "owner": TEXT_OR_NULL, "name": TEXT, "status": TEXT, **UPTIME,
    "tasksTotal": WHOLE, "workersTotal": WHOLE, "executorsTotal": WHOLE, "replicationCount": WHOLE,
    "schedulerInfo": TEXT_OR_NULL, "topologyVersion": TEXT_OR_NULL, "stormVersion": TEXT,
}  # fmt: skip
MEMORY_AND_CPU = {
    f"{what}{kind}": NUMBER
    for what in ("requested", "assigned")
    for kind in ("MemOnHeap", "MemOffHeap", "TotalMem", "Cpu")
}
MEMORY_KINDS = {
    f"{what}{kind}{place}Mem": NUMBER
    for what in ("requested", "assigned")
    for kind in ("Regular", "Shared")
    for place in ("OnHeap", "OffHeap")
}
GENERIC_OR_NULL = {"requestedGenericResources": TEXT_OR_NULL, "assignedGenericResources": TEXT_OR_NULL}
TOPOLOGY = {**IDENTITY, **MEMORY_AND_CPU, **GENERIC_OR_NULL}
TOPOLOGY_SUMMARY = {"topologies": [TOPOLOGY], **SHOWS_RESOURCES}
HISTORY = {"topo-history": [TEXT]}
TOPOLOGY_WORKERS = {"hostPortList": [{"host": TEXT, "port": WHOLE}], **LOG_VIEWER}

ERROR_PLACE = {
    "errorTime": WHOLE_OR_NULL,
    "errorLapsedSecs": WHOLE_OR_NULL,
    "errorHost": TEXT,
    "errorPort": WHOLE_OR_NULL,
    "errorWorkerLogLink": TEXT,
}
COMPONENT = {
    "executors": WHOLE,
    "tasks": WHOLE,
    **COUNTS,
    **WISHES,
    "requestedGenericResourcesComp": TEXT,
    "lastError": TEXT,
    **ERROR_PLACE,
}
TOPOLOGY_PAGE = {
    **TOPOLOGY,
    **MEMORY_KINDS,
    "user": TEXT_OR_NULL,
    "window": TEXT,
    "windowHint": TEXT,
    "msgTimeout": WHOLE,
    "configuration": {"*": ANY},
    "visualizationTable": [ANY],
    **DEBUGGING,
    **LINKS_ELSEWHERE,
    **SHOWS_RESOURCES,
    "topologyStats": [{**WINDOW, **COUNTS, "completeLatency": AS_TEXT}],
    "workers": [WORKER],
    "spouts": [{"spoutId": TEXT, "encodedSpoutId": TEXT, **COMPONENT, "completeLatency": AS_TEXT}],
    "bolts": [{"boltId": TEXT, "encodedBoltId": TEXT, **COMPONENT, **BOLT_FIGURES}],
}

# What a component measures by itself: a count, a gauge of a task, or how values are distributed.
MEASURED = {
    "name": TEXT,
    "kind": TEXT,
    "task?": TEXT,
    "value?": NUMBER,
    **dict.fromkeys(("count?", "mean?", "min?", "max?"), NUMBER),
    **dict.fromkeys(("p50?", "p75?", "p95?", "p98?", "p99?", "p999?"), NUMBER),
}
EXECUTOR = {"id": TEXT, "encodedId": TEXT, **UPTIME, "host": TEXT, "port": WHOLE, "workerLogLink": TEXT, **COUNTS}
COMPONENT_PAGE = {
    "user": TEXT_OR_NULL,
    "id": TEXT,
    "encodedId": TEXT,
    "name": TEXT,
    "executors": WHOLE,
    "tasks": WHOLE,
    **WISHES,
    "requestedGenericResources": TEXT,
    **SHOWS_RESOURCES,
    "topologyId": TEXT,
    "encodedTopologyId": TEXT,
    "topologyStatus": TEXT,
    "window": TEXT,
    "windowHint": TEXT,
    "componentType": TEXT,
    **DEBUGGING,
    "eventLogLink?": TEXT,  # while it is sampled
    "profilingAndDebuggingCapable": FLAG,
    "profileActionEnabled": FLAG,
    "profilerActive": [{**dict.fromkeys(("host", "port", "dumplink"), TEXT), "timestamp": WHOLE}],
    "componentErrors": [{"error": TEXT, **ERROR_PLACE}],
    "metrics?": [MEASURED],  # ours: Storm has nothing like it
    "metricsLeftOut?": WHOLE,  # ours: series of whichever components that had no room in their workers' messages
}
SPOUT_PAGE = {
    **COMPONENT_PAGE,
    "spoutSummary": [{**WINDOW, **COUNTS, "completeLatency": NUMBER, "lastError": TEXT}],
    "outputStats": [{"stream": TEXT, **COUNTS, "completeLatency": AS_TEXT}],
    "executorStats": [{**EXECUTOR, "completeLatency": AS_TEXT}],
}
BOLT_PAGE = {
    **COMPONENT_PAGE,
    "boltStats": [{**WINDOW, **COUNTS, **BOLT_FIGURES}],
    "inputStats": [
        {
            "component": TEXT,
            "encodedComponentId": TEXT,
            "stream": TEXT,
            "executeLatency": AS_TEXT,
            "processLatency": AS_TEXT,
            "executed": WHOLE,
            "acked": WHOLE,
            "failed": WHOLE,
        }
    ],
    "outputStats": [{"stream": TEXT, "emitted": WHOLE, "transferred": WHOLE}],
    "executorStats": [{**EXECUTOR, **BOLT_FIGURES}],
}
VISUALIZATION = {
    "*": {
        ":type": TEXT,
        ":capacity": NUMBER,
        ":latency": NUMBER,
        ":transferred": WHOLE,
        ":stats": [
            {":host": TEXT, ":port": WHOLE, ":uptime_secs": WHOLE, ":transferred": ANY},  # null: it told nothing yet
        ],
        ":link": TEXT,
        ":inputs": [{":component": TEXT, ":stream": TEXT, ":sani-stream": TEXT, ":grouping": TEXT}],
    }
}
VISUALIZATION_INIT = {"visualizationTable": [[{"stream": TEXT, "sani-stream": TEXT, "checked": FLAG}]]}
LOG_CONFIG = {
    "namedLoggerLevels": {
        "*": {"target_level": TEXT_OR_NULL, "reset_level": TEXT_OR_NULL, "timeout": WHOLE, "timeout_epoch": WHOLE}
    }
}
LAG = {"*": ANY}

# Ours: Storm has nothing like it. Null: not known, or, of a reason, none.
HINDRANCE = {"text": TEXT_OR_NULL, "heldBy": [TEXT], "heldByWorkers": [TEXT]}
QUEUES = {"queued": WHOLE_OR_NULL, "queueMax": WHOLE_OR_NULL, "queueMark": WHOLE_OR_NULL, "unsettled": WHOLE_OR_NULL}
PENDING = {"pending": WHOLE_OR_NULL, "pendingMax": WHOLE_OR_NULL}
COMPONENT_INSIGHT = {
    "component": TEXT,
    "executors": WHOLE,
    "known": WHOLE,
    "reasons": {"*": WHOLE},
    **HINDRANCE,
}
EXECUTOR_INSIGHT = {
    "id": TEXT,
    "component": TEXT,
    "host": TEXT,
    "port": WHOLE,
    "reason": TEXT_OR_NULL,
    **HINDRANCE,
    "callSecs": NUMBER_OR_NULL,
    "callAt": TEXT_OR_NULL,
    "silent": FLAG_OR_NULL,
    "full": FLAG_OR_NULL,
    **PENDING,
    **QUEUES,
}
WORKER_INSIGHT = {
    "host": TEXT,
    "port": WHOLE,
    "known": FLAG,
    "openingComponents": [TEXT],
    "fullComponents": [TEXT],
    "heldBy": {"*": [TEXT]},
    "slowPeers": [TEXT],
    "missingPeers": [TEXT],
    "peers": WHOLE,
    "reconnects": WHOLE,
    "dropped": {"*": WHOLE},
    "usedMem": NUMBER_OR_NULL,
    "usedCpu": NUMBER_OR_NULL,
}
INSIGHT = {
    "spouts": [{**COMPONENT_INSIGHT, "silent": WHOLE_OR_NULL, **PENDING}],
    "bolts": [{**COMPONENT_INSIGHT, "full": WHOLE_OR_NULL, **QUEUES}],
    "executors": [EXECUTOR_INSIGHT],
    "workers": [WORKER_INSIGHT],
}
TROUBLES = {
    "troubles": [
        {
            "severity": TEXT,
            "text": TEXT,
            "advice": TEXT,
            "component": TEXT_OR_NULL,
            "worker": TEXT_OR_NULL,
        }
    ]
}
FAILURES = {
    "spoutsLeftOut": WHOLE,
    "failures": [
        {
            "spout": TEXT,
            "task": WHOLE,
            "messageId": TEXT,
            "kind": TEXT,
            "component": TEXT_OR_NULL,
            "text": TEXT,
            "ageSecs": NUMBER,
            "time": WHOLE,
            "host": TEXT,
            "port": WHOLE,
        }
    ],
}
SAMPLES = {
    **DEBUGGING,
    "samples": [
        {
            "time": WHOLE,
            "component": TEXT,
            "stream": TEXT,
            "task": WHOLE,
            "values": TEXT,
            "host": TEXT,
            "port": WHOLE,
        }
    ],
    "problems": [{"host": TEXT, "port": WHOLE, "text": TEXT}],
    "workersLeftOut": WHOLE,
    "dropped": WHOLE,
}
LOG_SEARCH = {
    "records": [
        {"time": TEXT_OR_NULL, "host": TEXT, "port": WHOLE, "file": TEXT, "offset": WHOLE, "text": TEXT},
    ],
    "problems": [{"host": TEXT, "text": TEXT}],
    "isCut": FLAG,
    "supervisorsLeftOut": WHOLE,
    "othersLeftOut": WHOLE,
}
OWNER = {
    "owner": TEXT,
    **dict.fromkeys(("totalTopologies", "totalExecutors", "totalWorkers", "totalTasks", "isolatedNodes"), WHOLE),
    **dict.fromkeys(("totalMemoryUsage", "totalCpuUsage"), NUMBER),
    # "N/A" where nothing is guaranteed
    **dict.fromkeys(("memoryGuarantee", "cpuGuarantee", "memoryGuaranteeRemaining", "cpuGuaranteeRemaining"), ANY),
    **dict.fromkeys(("totalReqOnHeapMem", "totalReqOffHeapMem", "totalReqMem", "totalReqCpu"), NUMBER),
    **dict.fromkeys(("totalAssignedOnHeapMem", "totalAssignedOffHeapMem"), NUMBER),
}
OWNERS = {"owners": [OWNER], **SHOWS_RESOURCES}
OWNER_PAGE = {**OWNER, "topologies": [TOPOLOGY], **SHOWS_RESOURCES}
PROFILING_DONE = {"status": TEXT, "id": TEXT}
PROFILING_STARTED = {**PROFILING_DONE, "timeout": TEXT, "dumplink": TEXT}
PROFILE = {**PROFILING_DONE, "file": TEXT, "dumplink": TEXT}
STACKS = {**PROFILING_DONE, "stacks": TEXT, "dumplink": TEXT}
HEAP = {**PROFILING_DONE, "heap": TEXT, "dumplink": TEXT}
DONE = {"topologyOperation": TEXT, "topologyId": TEXT, "status": TEXT}
PROBLEM = {"error": TEXT, "errorMessage": TEXT}


def json_schema(shape: Shape) -> dict[str, Any]:
    """The JSON Schema (2020-12, as OpenAPI 3.1 has it) of a shape."""
    if isinstance(shape, list):
        return {"type": "array", "items": json_schema(shape[0])}
    if isinstance(shape, tuple):
        return {"oneOf": [json_schema(one) for one in shape]}
    if isinstance(shape, str):
        if shape == ANY:
            return {}
        kind, is_nullable = shape.removesuffix("?"), shape.endswith("?")
        return {"type": [kind, "null"] if is_nullable else kind}
    if "*" in shape:
        return {"type": "object", "additionalProperties": json_schema(shape["*"])}
    return {
        "type": "object",
        "properties": {key.removesuffix("?"): json_schema(value) for key, value in shape.items()},
        "required": [key for key in shape if not key.endswith("?")],
    }
