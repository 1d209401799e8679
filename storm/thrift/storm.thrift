// The Thrift interface of Storm for Python.
//
// Names, field ids, types, requiredness, defaults, exceptions and method signatures are those of Apache Storm 3.0 (in
// 2.x one field differs: SupervisorWorkerHeartbeat.time_secs is an i32), so that Storm's own clients and streamparse
// can talk to this Nimbus. Additions have ids that Storm does not use: arm 4 of ComponentObject, fields from 1001 on,
// and the methods Supervisor.readWorkerLog, readWorkerEvents and readWorkerDump with their struct LogPart,
// Supervisor.searchWorkerLogs with its structs FoundRecords and FoundRecord,
// Supervisor.getWorkerStacks, getWorkerHeap, profileWorker, startProfile, dumpProfile, stopProfile and restartWorker,
// Nimbus.uploadPart and Nimbus.finishUpload.
//
// Transport: frames of a 4-byte big-endian length and a message of the binary protocol. One service a port.
// docs/thrift.md says which methods this release serves.

namespace py storm

// ---- Enumerations

enum ComponentType {
  BOLT = 1,
  SPOUT = 2,
}

enum TopologyInitialStatus {
  ACTIVE = 1,
  INACTIVE = 2,
}

enum AccessControlType {
  OTHER = 1,
  USER = 2,
}

enum NumErrorsChoice {
  ALL = 0,
  NONE = 1,
  ONE = 2,
}

enum ProfileAction {
  JPROFILE_STOP = 0,
  JPROFILE_START = 1,
  JPROFILE_DUMP = 2,
  JMAP_DUMP = 3,
  JSTACK_DUMP = 4,
  JVM_RESTART = 5,
}

enum LogLevelAction {
  UNCHANGED = 1,
  UPDATE = 2,
  REMOVE = 3,
}

enum DRPCExceptionType {
  INTERNAL_ERROR = 0,
  SERVER_SHUTDOWN = 1,
  SERVER_TIMEOUT = 2,
  FAILED_REQUEST = 3,
}

// ---- Exceptions

exception AlreadyAliveException {
  1: required string msg;
}

exception NotAliveException {
  1: required string msg;
}

exception AuthorizationException {
  1: required string msg;
}

exception InvalidTopologyException {
  1: required string msg;
}

exception KeyNotFoundException {
  1: required string msg;
}

exception IllegalStateException {
  1: required string msg;
}

exception KeyAlreadyExistsException {
  1: required string msg;
}

exception DRPCExecutionException {
  1: required string msg;
  2: optional DRPCExceptionType type;
}

// ---- Topology definition

union JavaObjectArg {
  1: i32 int_arg;
  2: i64 long_arg;
  3: string string_arg;
  4: bool bool_arg;
  5: binary binary_arg;
  6: double double_arg;
}

struct JavaObject {
  1: required string full_class_name;
  2: required list<JavaObjectArg> args_list;
}

struct NullStruct {}

struct GlobalStreamId {
  1: required string componentId;
  2: required string streamId;
}

union Grouping {
  1: list<string> fields;  // empty: global grouping
  2: NullStruct shuffle;
  3: NullStruct all;
  4: NullStruct none;
  5: NullStruct direct;
  6: JavaObject custom_object;
  7: binary custom_serialized;
  8: NullStruct local_or_shuffle;
}

struct StreamInfo {
  1: required list<string> output_fields;
  2: required bool direct;
}

struct ShellComponent {
  1: string execution_command;
  2: string script;
}

union ComponentObject {
  1: binary serialized_java;
  2: ShellComponent shell;
  3: JavaObject java_object;
  4: binary serialized_python;  // ours; only a worker ever opens it
}

struct ComponentCommon {
  1: required map<GlobalStreamId, Grouping> inputs;
  2: required map<string, StreamInfo> streams;
  3: optional i32 parallelism_hint;
  4: optional string json_conf;
}

struct SpoutSpec {
  1: required ComponentObject spout_object;
  2: required ComponentCommon common;
}

struct Bolt {
  1: required ComponentObject bolt_object;
  2: required ComponentCommon common;
}

struct StateSpoutSpec {
  1: required ComponentObject state_spout_object;
  2: required ComponentCommon common;
}

struct SharedMemory {
  1: required string name;
  2: optional double on_heap;
  3: optional double off_heap_worker;
  4: optional double off_heap_node;
}

struct StormTopology {
  1: required map<string, SpoutSpec> spouts;
  2: required map<string, Bolt> bolts;
  3: required map<string, StateSpoutSpec> state_spouts;
  4: optional list<binary> worker_hooks;
  5: optional list<string> dependency_jars;
  6: optional list<string> dependency_artifacts;
  7: optional string storm_version;
  8: optional string jdk_version;
  9: optional map<string, set<string>> component_to_shared_memory;
  10: optional map<string, SharedMemory> shared_memory;
}

// ---- Summaries, statistics and pages

struct TopologySummary {
  1: required string id;
  2: required string name;
  3: required i32 num_tasks;
  4: required i32 num_executors;
  5: required i32 num_workers;
  6: required i32 uptime_secs;
  7: required string status;
  8: optional string storm_version;
  9: optional string topology_version;
  513: optional string sched_status;
  514: optional string owner;
  515: optional i32 replication_count;
  521: optional double requested_memonheap;
  522: optional double requested_memoffheap;
  523: optional double requested_cpu;
  524: optional double assigned_memonheap;
  525: optional double assigned_memoffheap;
  526: optional double assigned_cpu;
  527: optional map<string, double> requested_generic_resources;
  528: optional map<string, double> assigned_generic_resources;
  1001: optional list<string> leaving_supervisors;  // ours; their ids: it has workers there and should not
  1002: optional bool lacks_slots;  // ours: free slots are what sched_status says is lacking
}

// Ours. Space on the disk of a daemon's directory; `why_not`: why it is not known or cannot be used.
struct DiskSpace {
  1: required string path;
  2: required i64 free_bytes;
  3: required i64 total_bytes;
  4: required string why_not;
}

// Ours. A host name as one host resolves it, and the names that its addresses lead back to.
struct NameResolution {
  1: required list<string> addresses;
  2: required list<string> names;
  3: optional bool is_back_late;
}

// Ours. What a daemon tells of its host, for `storm doctor`.
struct HostReport {
  1: required string host;
  2: required i64 time_millis;
  3: required string python;
  4: required map<string, string> versions;
  5: required string hot_path;
  6: required list<DiskSpace> disks;
  7: required i64 open_files_max;
  8: required map<string, NameResolution> resolutions;
  9: optional string illness;
}

struct SupervisorSummary {
  1: required string host;
  2: required i32 uptime_secs;
  3: required i32 num_workers;
  4: required i32 num_used_workers;
  5: required string supervisor_id;
  6: optional string version = "VERSION_NOT_PROVIDED";
  7: optional map<string, double> total_resources;
  8: optional double used_mem;  // by its workers, MB, as they told
  9: optional double used_cpu;  // by its workers, percent of a core
  10: optional double fragmented_mem;
  11: optional double fragmented_cpu;
  12: optional bool blacklisted;
  13: optional map<string, double> used_generic_resources;
  1001: optional i32 thrift_port;  // ours; of its Supervisor service
  1002: optional i32 num_running_workers;  // ours; processes, whether or not anything is assigned to them still
  1003: optional map<string, string> scheduler_meta;  // ours
  1004: optional string illness;  // ours; what its health scripts complain of, empty: nothing
  1005: optional string python_version;  // ours; what its workers run on: "3.11"
  1006: optional i32 logviewer_port;  // ours; of the log viewer beside it, 0: there is none
  1007: optional list<i32> slot_ports;  // ours; of its workers
  1008: optional list<string> daemon_logs;  // ours; daemons' logs that its log viewer has: "nimbus.log"
  1009: optional string architecture;  // ours; its kind of processor as wheels name it: "x86_64"
}

// Ours. A supervisor, alive or not, that is drained: nothing new is assigned to it.
struct DrainedSupervisor {
  1: required string supervisor_id;
  2: required string host;
  3: required i64 since_secs;  // since the epoch
}

struct NimbusSummary {
  1: required string host;
  2: required i32 port;
  3: required i32 uptime_secs;
  4: required bool isLeader;
  5: required string version;
  6: optional i32 tlsPort;
  1001: optional bool is_answering;  // ours; of getLeader: whether it is the Nimbus that answers
}

struct ClusterSummary {
  1: required list<SupervisorSummary> supervisors;
  3: required list<TopologySummary> topologies;
  4: required list<NimbusSummary> nimbuses;
  1001: optional list<DrainedSupervisor> drained;  // ours
}

struct ErrorInfo {
  1: required string error;
  2: required i32 error_time_secs;
  3: optional string host;
  4: optional i32 port;
  1001: optional bool lacks_environment;  // ours; of a worker that could not run: its environment could not be built
}

struct BoltStats {
  1: required map<string, map<GlobalStreamId, i64>> acked;
  2: required map<string, map<GlobalStreamId, i64>> failed;
  3: required map<string, map<GlobalStreamId, double>> process_ms_avg;
  4: required map<string, map<GlobalStreamId, i64>> executed;
  5: required map<string, map<GlobalStreamId, double>> execute_ms_avg;
}

struct SpoutStats {
  1: required map<string, map<string, i64>> acked;
  2: required map<string, map<string, i64>> failed;
  3: required map<string, map<string, double>> complete_ms_avg;
}

union ExecutorSpecificStats {
  1: BoltStats bolt;
  2: SpoutStats spout;
}

// Ours. What an executor did when its worker looked last; docs/thrift.md lists the reasons.
struct ExecutorInsight {
  1: optional string reason;  // what keeps it from working: "max-pending", "back-pressure", ...; absent: nothing
  2: optional string text;  // the same for people, as a sentence without a full stop; absent: nothing
  3: optional bool silent;  // of a spout: it has emitted nothing since the look before, about 3 s, or may not
  4: optional list<string> held_by;  // components it waits for: full queues, or who is in a call on its thread
  5: optional list<string> held_by_workers;  // "host:port", where these are not in its own worker
  6: optional double call_secs;  // how long one call of the user's code has gone on, at least
  7: optional i64 pending;  // of a spout: trees under way, and failures that wait for their time
  8: optional i64 pending_max;  // topology.max.spout.pending of its tasks together; absent: no limit
  9: optional i64 queued;  // of a bolt: tuples that wait for its tasks together
  10: optional i64 queue_max;  // of a bolt: the longest queue of one task
  11: optional i64 queue_mark;  // of a bolt: a longer queue of one task causes back pressure
  12: optional bool full;  // of a bolt: it causes back pressure now
  13: optional i64 unsettled;  // of a bolt: tuples that it executed and has neither acked nor failed
  14: optional string call_at;  // where that call is: "words.py, line 31, in next_tuple"
}

// Ours. The insights of a component's executors together.
struct ComponentInsight {
  1: optional map<string, i32> reasons;  // {reason: how many executors have it}
  2: optional string text;  // of the executor that is worst off; absent: of none
  3: optional i32 silent;  // of a spout: how many executors have emitted nothing lately
  4: optional list<string> held_by;
  5: optional list<string> held_by_workers;
  6: optional i64 pending;
  7: optional i64 pending_max;  // absent: no limit
  8: optional i64 queued;
  9: optional i64 queue_max;  // the longest queue of one task
  10: optional i64 queue_mark;
  11: optional i32 full;  // how many executors cause back pressure now
  12: optional i64 unsettled;
  13: optional i32 known;  // of how many executors all this is known
}

// Ours. How a worker and its peers get on; peers are "host:port".
struct WorkerInsight {
  1: optional list<string> full_components;  // with queues over their mark: it holds back all that lead to them
  2: optional map<string, list<string>> held_by;  // {peer: components there that are over their mark, as it told}
  3: optional list<string> slow_peers;  // who take less than is sent to them: the worker's outgoing buffer is full
  4: optional list<string> missing_peers;  // that it is to exchange tuples with, and that are not connected
  5: optional i32 peers;
  6: optional i64 reconnects;  // to its present peers, beyond the first connection of each
  7: optional map<string, i64> dropped;  // {why: tuples, acks or frames that were dropped since it began}
  8: optional list<string> opening_components;  // whose open or prepare is not over, though the topology is active
}

// Ours. A spout's tuple that failed lately.
struct TupleFailure {
  1: optional i32 task;  // of the spout
  2: optional string message_id;  // as Python shows it, shortened
  3: optional string kind;  // "failed", "timeout" or "worker-died"
  4: optional string component;  // who failed or held it; absent: not known
  5: optional string text;  // why, in words
  6: optional double age_secs;  // from its emit to the failure
  7: optional i64 time_secs;  // of the failure, since 1970
  8: optional string host;
  9: optional i32 port;
}

struct ExecutorStats {
  1: required map<string, map<string, i64>> emitted;
  2: required map<string, map<string, i64>> transferred;
  3: required ExecutorSpecificStats specific;
  4: required double rate;
  1001: optional ExecutorInsight insight;  // ours; in heartbeats
  1002: optional list<TupleFailure> failures;  // ours; in heartbeats: the last ones
}

struct ExecutorInfo {
  1: required i32 task_start;
  2: required i32 task_end;
}

struct ExecutorSummary {
  1: required ExecutorInfo executor_info;
  2: required string component_id;
  3: required string host;
  4: required i32 port;
  5: required i32 uptime_secs;
  7: optional ExecutorStats stats;
  1001: optional ExecutorInsight insight;  // ours
}

struct DebugOptions {
  1: optional bool enable;
  2: optional double samplingpct;
}

struct TopologyInfo {
  1: required string id;
  2: required string name;
  3: required i32 uptime_secs;
  4: required list<ExecutorSummary> executors;
  5: required string status;
  6: required map<string, list<ErrorInfo>> errors;
  7: optional map<string, DebugOptions> component_debug;
  8: optional string storm_version;
  513: optional string sched_status;
  514: optional string owner;
  515: optional i32 replication_count;
  521: optional double requested_memonheap;
  522: optional double requested_memoffheap;
  523: optional double requested_cpu;
  524: optional double assigned_memonheap;
  525: optional double assigned_memoffheap;
  526: optional double assigned_cpu;
  1001: optional list<string> notices;  // ours; for people: workers that cannot start, and why
}

struct CommonAggregateStats {
  1: optional i32 num_executors;
  2: optional i32 num_tasks;
  3: optional i64 emitted;
  4: optional i64 transferred;
  5: optional i64 acked;
  6: optional i64 failed;
  7: optional map<string, double> resources_map;
}

struct SpoutAggregateStats {
  1: optional double complete_latency_ms;
}

struct BoltAggregateStats {
  1: optional double execute_latency_ms;
  2: optional double process_latency_ms;
  3: optional i64 executed;
  4: optional double capacity;
}

union SpecificAggregateStats {
  1: BoltAggregateStats bolt;
  2: SpoutAggregateStats spout;
}

struct ComponentAggregateStats {
  1: optional ComponentType type;
  2: optional CommonAggregateStats common_stats;
  3: optional SpecificAggregateStats specific_stats;
  4: optional ErrorInfo last_error;
  1001: optional ComponentInsight insight;  // ours; of the topology page's components
}

struct TopologyStats {
  1: optional map<string, i64> window_to_emitted;
  2: optional map<string, i64> window_to_transferred;
  3: optional map<string, double> window_to_complete_latencies_ms;
  4: optional map<string, i64> window_to_acked;
  5: optional map<string, i64> window_to_failed;
}

struct WorkerSummary {
  1: optional string supervisor_id;
  2: optional string host;
  3: optional i32 port;
  4: optional string topology_id;
  5: optional string topology_name;
  6: optional i32 num_executors;
  7: optional map<string, i64> component_to_num_tasks;
  8: optional i32 time_secs;
  9: optional i32 uptime_secs;
  521: optional double requested_memonheap;
  522: optional double requested_memoffheap;
  523: optional double requested_cpu;
  524: optional double assigned_memonheap;
  525: optional double assigned_memoffheap;
  526: optional double assigned_cpu;
  527: optional string owner;
  1001: optional WorkerInsight insight;  // ours
  1002: optional double used_mem;  // ours; what is resident of its process, MB
  1003: optional double used_cpu;  // ours; of its process, percent of a core
}

struct SupervisorPageInfo {
  1: optional list<SupervisorSummary> supervisor_summaries;
  2: optional list<WorkerSummary> worker_summaries;
}

// Ours: a slot whose worker died lately, as its supervisor tells. `state`: "backing-off" until it is tried again, in
// `retry_secs`; else where it is on its way back to "running". With 0 deaths: a slot that waits for what `reason` says,
// in `state` "building-environment", or "fetching" while code or blobs come.
struct SlotFailure {
  1: required string supervisor_id;
  2: required string host;
  3: required i32 port;
  4: required string state;
  5: required i32 deaths;  // in a row
  6: required string reason;  // how the worker ended, in words
  7: required string last_lines;  // of its log
  8: required i64 time_secs;
  9: optional i32 retry_secs;
  10: optional bool lacks_environment;  // it could not be built
}

// Ours. What a bolt took of one of its input streams, over the window that was asked for.
struct InputFigures {
  1: required string component;  // the bolt
  2: required GlobalStreamId stream;
  3: required string grouping;  // "shuffle", "fields", "all", "global", "none", "direct", "local_or_shuffle", ...
  4: optional list<string> fields;  // of a fields or partial key grouping
  5: optional i64 executed;
  6: optional i64 acked;
  7: optional i64 failed;
}

// Ours. A worker that ended lately; `reason`: how, as the rest of a sentence about it.
struct EndedWorker {
  1: required string host;
  2: required i32 port;
  3: required string reason;
}

struct TopologyPageInfo {
  1: required string id;
  2: optional string name;
  3: optional i32 uptime_secs;
  4: optional string status;
  5: optional i32 num_tasks;
  6: optional i32 num_workers;
  7: optional i32 num_executors;
  8: optional string topology_conf;
  9: optional map<string, ComponentAggregateStats> id_to_spout_agg_stats;
  10: optional map<string, ComponentAggregateStats> id_to_bolt_agg_stats;
  11: optional string sched_status;
  12: optional TopologyStats topology_stats;
  13: optional string owner;
  14: optional DebugOptions debug_options;
  15: optional i32 replication_count;
  16: optional list<WorkerSummary> workers;
  17: optional string storm_version;
  18: optional string topology_version;
  521: optional double requested_memonheap;
  522: optional double requested_memoffheap;
  523: optional double requested_cpu;
  524: optional double assigned_memonheap;
  525: optional double assigned_memoffheap;
  526: optional double assigned_cpu;
  527: optional double requested_regular_on_heap_memory;
  528: optional double requested_shared_on_heap_memory;
  529: optional double requested_regular_off_heap_memory;
  530: optional double requested_shared_off_heap_memory;
  531: optional double assigned_regular_on_heap_memory;
  532: optional double assigned_shared_on_heap_memory;
  533: optional double assigned_regular_off_heap_memory;
  534: optional double assigned_shared_off_heap_memory;
  535: optional map<string, double> requested_generic_resources;
  536: optional map<string, double> assigned_generic_resources;
  1001: optional list<string> notices;  // ours; for people: workers that cannot start, and why
  1002: optional list<SlotFailure> slot_failures;  // ours
  1003: optional list<InputFigures> inputs;  // ours: the edges of the graph; those of the system's where asked for
  1004: optional list<EndedWorker> ended_workers;  // ours: the last one first
  1005: optional i32 num_workers_wanted;  // ours: as many as it has once there are slots enough
  1006: optional bool lacks_slots;  // ours: free slots are what sched_status says is lacking
}

struct ExecutorAggregateStats {
  1: optional ExecutorSummary exec_summary;
  2: optional ComponentAggregateStats stats;
}

struct ComponentPageInfo {
  1: required string component_id;
  2: required ComponentType component_type;
  3: optional string topology_id;
  4: optional string topology_name;
  5: optional i32 num_executors;
  6: optional i32 num_tasks;
  7: optional map<string, ComponentAggregateStats> window_to_stats;
  8: optional map<GlobalStreamId, ComponentAggregateStats> gsid_to_input_stats;
  9: optional map<string, ComponentAggregateStats> sid_to_output_stats;
  10: optional list<ExecutorAggregateStats> exec_stats;
  11: optional list<ErrorInfo> errors;
  12: optional string eventlog_host;
  13: optional i32 eventlog_port;
  14: optional DebugOptions debug_options;
  15: optional string topology_status;
  16: optional map<string, double> resources_map;
  // What the component measures by itself, of all its workers: JSON, see storm/metrics/component_metrics.py.
  1001: optional string metrics;
  1002: optional ComponentInsight insight;  // ours
  1003: optional list<TupleFailure> failures;  // ours; of a spout: the last ones of each executor, newest first
  1004: optional i32 metrics_left_out;  // ours; series of the topology's components that had no room in messages
}

struct OwnerResourceSummary {
  1: required string owner;
  2: optional i32 total_topologies;
  3: optional i32 total_executors;
  4: optional i32 total_workers;
  5: optional double memory_usage;
  6: optional double cpu_usage;
  7: optional double memory_guarantee;
  8: optional double cpu_guarantee;
  9: optional double memory_guarantee_remaining;
  10: optional double cpu_guarantee_remaining;
  11: optional i32 isolated_node_guarantee;
  12: optional i32 total_tasks;
  13: optional double requested_on_heap_memory;
  14: optional double requested_off_heap_memory;
  15: optional double requested_total_memory;
  16: optional double requested_cpu;
  17: optional double assigned_on_heap_memory;
  18: optional double assigned_off_heap_memory;
}

struct TopologyHistoryInfo {
  1: list<string> topo_ids;
}

// ---- Command options

struct KillOptions {
  1: optional i32 wait_secs;
}

// Ours. How long spouts stand still before their workers leave; the topology's message timeout if not set.
struct DrainOptions {
  1: optional i32 wait_secs;
}

struct RebalanceOptions {
  1: optional i32 wait_secs;
  2: optional i32 num_workers;
  3: optional map<string, i32> num_executors;
  4: optional map<string, map<string, double>> topology_resources_overrides;
  5: optional string topology_conf_overrides;
  6: optional string principal;  // filled in by Nimbus
}

struct Credentials {
  1: required map<string, string> creds;
  2: optional string topoOwner;
}

struct SubmitOptions {
  1: required TopologyInitialStatus initial_status;
  2: optional Credentials creds;
}

struct GetInfoOptions {
  1: optional NumErrorsChoice num_err_choice;
  1001: optional string host;  // ours; with `port`: of executors only those of this worker
  1002: optional i32 port;  // ours
}

struct LogLevel {
  1: required LogLevelAction action;
  2: optional string target_log_level;
  3: optional i32 reset_log_level_timeout_secs;
  4: optional i64 reset_log_level_timeout_epoch;  // milliseconds since 1970, filled in by Nimbus
  5: optional string reset_log_level;
}

struct LogConfig {
  2: optional map<string, LogLevel> named_logger_level;
}

struct NodeInfo {
  1: required string node;
  2: required set<i64> port;
}

struct ProfileRequest {
  1: required NodeInfo nodeInfo;
  2: required ProfileAction action;
  3: optional i64 time_stamp;
}

// ---- Blobstore

struct AccessControl {
  1: required AccessControlType type;
  2: optional string name;
  3: required i32 access;  // bits: READ 1, WRITE 2, ADMIN 4
}

struct SettableBlobMeta {
  1: required list<AccessControl> acl;
  2: optional i32 replication_factor;
}

struct ReadableBlobMeta {
  1: required SettableBlobMeta settable;
  2: required i64 version;
  // Ours.
  1001: optional string sha256;  // 64 hexadecimal digits
  1002: optional string stored_as;  // a key under which this very content is downloaded, also when there is a newer one
  1003: optional i64 size_bytes;
  1004: optional i64 updated_secs;  // since 1970
}

struct ListBlobsResult {
  1: required list<string> keys;
  2: required string session;
}

struct BeginDownloadResult {
  1: required i64 version;
  2: required string session;
  3: optional i64 data_size;
}

// ---- Assignments and heartbeats

struct WorkerResources {
  1: optional double mem_on_heap;
  2: optional double mem_off_heap;
  3: optional double cpu;
  4: optional double shared_mem_on_heap;
  5: optional double shared_mem_off_heap;
  6: optional map<string, double> resources;
  7: optional map<string, double> shared_resources;
}

struct Assignment {
  1: required string master_code_dir;
  2: optional map<string, string> node_host = {};
  3: optional map<list<i64>, NodeInfo> executor_node_port = {};
  4: optional map<list<i64>, i64> executor_start_time_secs = {};
  5: optional map<NodeInfo, WorkerResources> worker_resources = {};
  6: optional map<string, double> total_shared_off_heap = {};
  7: optional string owner;
  // Ours: what lets a supervisor tell a replaced worker from its successor, and check what it downloads.
  1001: optional string topology_id;
  1002: optional i64 version;
  1003: optional map<NodeInfo, i64> slot_epochs;
  1004: optional map<string, string> blob_hashes;  // {blob key: sha256, hexadecimal}
}

struct SupervisorWorkerHeartbeat {
  1: required string storm_id;
  2: required list<ExecutorInfo> executors;
  3: required i64 time_secs;
  // Ours: so that one message tells all that Nimbus knows of a worker.
  1001: optional i32 port;
  1002: optional map<ExecutorInfo, ExecutorStats> executor_stats;
  1003: optional i32 uptime_secs;
  1004: optional string worker_id;
  // What the worker and its components measure, a line of JSON each; Nimbus gets the second only: see
  // storm/metrics/series.py.
  1005: optional string metrics;
  1006: optional WorkerInsight insight;
  1007: optional double used_mem;  // what is resident of the process, MB
  1008: optional double used_cpu;  // of the process, percent of a core
}

struct SupervisorWorkerHeartbeats {
  1: required string supervisor_id;
  2: required list<SupervisorWorkerHeartbeat> worker_heartbeats;
}

struct SupervisorAssignments {
  1: optional map<string, Assignment> storm_assignment = {};
}

struct WorkerMetricPoint {
  1: required string metricName;
  2: required i64 timestamp;
  3: required double metricValue;
  4: required string componentId;
  5: required string executorId;
  6: required string streamId;
}

struct WorkerMetricList {
  1: list<WorkerMetricPoint> metrics;
}

struct WorkerMetrics {
  1: required string topologyId;
  2: required i32 port;
  3: required string hostname;
  4: required WorkerMetricList metricList;
}

// ---- DRPC

struct DRPCRequest {
  1: required string func_args;
  2: required string request_id;
}

// ---- Logs

// Ours.
struct LogPart {
  1: required binary data;
  2: required i64 offset;  // where `data` begins in the file, bytes
  3: required i64 size;  // of the whole file, bytes
}

// Ours. A record of a log in which a text was found; `text` is the record, or the part of a long one around the place.
struct FoundRecord {
  1: required i32 port;  // of the worker
  2: required string file;  // worker.log, or an older one: worker.log.1
  3: required i64 offset;  // where the record begins in the file, bytes
  4: required string time;  // UTC, "2026-01-31T23:59:59.123", empty: not known
  5: required string text;
}

// Ours.
struct FoundRecords {
  1: required list<FoundRecord> records;  // the newest first
  2: required bool is_cut;  // there may be more
}

// ---- Services

service Nimbus {
  void submitTopology(1: string name, 2: string uploadedJarLocation, 3: string jsonConf, 4: StormTopology topology)
      throws (1: AlreadyAliveException e, 2: InvalidTopologyException ite, 3: AuthorizationException aze);
  void submitTopologyWithOpts(1: string name, 2: string uploadedJarLocation, 3: string jsonConf, 4: StormTopology topology, 5: SubmitOptions options)
      throws (1: AlreadyAliveException e, 2: InvalidTopologyException ite, 3: AuthorizationException aze);
  void killTopology(1: string name) throws (1: NotAliveException e, 2: AuthorizationException aze);
  void killTopologyWithOpts(1: string name, 2: KillOptions options)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  void activate(1: string name) throws (1: NotAliveException e, 2: AuthorizationException aze);
  void deactivate(1: string name) throws (1: NotAliveException e, 2: AuthorizationException aze);
  void rebalance(1: string name, 2: RebalanceOptions options)
      throws (1: NotAliveException e, 2: InvalidTopologyException ite, 3: AuthorizationException aze);
  void setLogConfig(1: string name, 2: LogConfig config);
  LogConfig getLogConfig(1: string name);
  void debug(1: string name, 2: string component, 3: bool enable, 4: double samplingPercentage)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  void setWorkerProfiler(1: string id, 2: ProfileRequest profileRequest);
  list<ProfileRequest> getComponentPendingProfileActions(1: string id, 2: string component_id, 3: ProfileAction action);
  void uploadNewCredentials(1: string name, 2: Credentials creds)
      throws (1: NotAliveException e, 2: InvalidTopologyException ite, 3: AuthorizationException aze);
  // size_bytes is ours: how many will come, as far as that is known; 0: it is not. So too many need not be sent.
  string beginCreateBlob(1: string key, 2: SettableBlobMeta meta, 3: i64 size_bytes)
      throws (1: AuthorizationException aze, 2: KeyAlreadyExistsException kae);
  string beginUpdateBlob(1: string key, 2: i64 size_bytes)
      throws (1: AuthorizationException aze, 2: KeyNotFoundException knf);
  void uploadBlobChunk(1: string session, 2: binary chunk) throws (1: AuthorizationException aze);
  void finishBlobUpload(1: string session) throws (1: AuthorizationException aze);
  void cancelBlobUpload(1: string session) throws (1: AuthorizationException aze);
  ReadableBlobMeta getBlobMeta(1: string key)
      throws (1: AuthorizationException aze, 2: KeyNotFoundException knf);
  void setBlobMeta(1: string key, 2: SettableBlobMeta meta)
      throws (1: AuthorizationException aze, 2: KeyNotFoundException knf);
  BeginDownloadResult beginBlobDownload(1: string key)
      throws (1: AuthorizationException aze, 2: KeyNotFoundException knf);
  binary downloadBlobChunk(1: string session) throws (1: AuthorizationException aze);
  void deleteBlob(1: string key)
      throws (1: AuthorizationException aze, 2: KeyNotFoundException knf, 3: IllegalStateException ise);
  ListBlobsResult listBlobs(1: string session);
  i32 getBlobReplication(1: string key) throws (1: AuthorizationException aze, 2: KeyNotFoundException knf);
  i32 updateBlobReplication(1: string key, 2: i32 replication)
      throws (1: AuthorizationException aze, 2: KeyNotFoundException knf);
  void createStateInZookeeper(1: string key);
  string beginFileUpload() throws (1: AuthorizationException aze);
  void uploadChunk(1: string location, 2: binary chunk) throws (1: AuthorizationException aze);
  void finishFileUpload(1: string location) throws (1: AuthorizationException aze);
  // Ours. A part of an upload that begins at byte `offset`: how many bytes are here after it. May be called again.
  i64 uploadPart(1: string location, 2: i64 offset, 3: binary part) throws (1: AuthorizationException aze);
  // Ours. As finishFileUpload, if what came has this hash. May be called again.
  void finishUpload(1: string location, 2: string sha256) throws (1: AuthorizationException aze);
  binary downloadChunk(1: string id) throws (1: AuthorizationException aze);
  string getNimbusConf() throws (1: AuthorizationException aze);
  ClusterSummary getClusterInfo() throws (1: AuthorizationException aze);
  list<TopologySummary> getTopologySummaries() throws (1: AuthorizationException aze);
  TopologySummary getTopologySummaryByName(1: string name)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  TopologySummary getTopologySummary(1: string id)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  NimbusSummary getLeader() throws (1: AuthorizationException aze);
  bool isTopologyNameAllowed(1: string name) throws (1: AuthorizationException aze);
  TopologyInfo getTopologyInfoByName(1: string name)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  TopologyInfo getTopologyInfo(1: string id) throws (1: NotAliveException e, 2: AuthorizationException aze);
  TopologyInfo getTopologyInfoByNameWithOpts(1: string name, 2: GetInfoOptions options)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  TopologyInfo getTopologyInfoWithOpts(1: string id, 2: GetInfoOptions options)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  TopologyPageInfo getTopologyPageInfo(1: string id, 2: string window, 3: bool is_include_sys)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  SupervisorPageInfo getSupervisorPageInfo(1: string id, 2: string host, 3: bool is_include_sys)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  ComponentPageInfo getComponentPageInfo(1: string topology_id, 2: string component_id, 3: string window, 4: bool is_include_sys)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  string getTopologyConf(1: string id) throws (1: NotAliveException e, 2: AuthorizationException aze);
  StormTopology getTopology(1: string id) throws (1: NotAliveException e, 2: AuthorizationException aze);
  StormTopology getUserTopology(1: string id) throws (1: NotAliveException e, 2: AuthorizationException aze);
  TopologyHistoryInfo getTopologyHistory(1: string user) throws (1: AuthorizationException aze);
  list<OwnerResourceSummary> getOwnerResourceSummaries(1: string owner)
      throws (1: AuthorizationException aze);
  SupervisorAssignments getSupervisorAssignments(1: string node) throws (1: AuthorizationException aze);
  void sendSupervisorWorkerHeartbeats(1: SupervisorWorkerHeartbeats heartbeats)
      throws (1: AuthorizationException aze);
  void sendSupervisorWorkerHeartbeat(1: SupervisorWorkerHeartbeat heatbeat)
      throws (1: AuthorizationException aze, 2: NotAliveException e);
  void processWorkerMetrics(1: WorkerMetrics metrics);
  bool isRemoteBlobExists(1: string blobKey) throws (1: AuthorizationException aze);
  // Ours. Of the host of the Nimbus that is asked, and how it resolves `names`.
  HostReport getHostReport(1: list<string> names);
  // Ours. `host` is a host's name or a supervisor's id; answered with the ids of its supervisors.
  list<string> drainHost(1: string host, 2: DrainOptions options) throws (1: AuthorizationException aze);
  list<string> undrainHost(1: string host) throws (1: AuthorizationException aze);
}

service DistributedRPC {
  string execute(1: string functionName, 2: string funcArgs)
      throws (1: DRPCExecutionException e, 2: AuthorizationException aze);
}

service DistributedRPCInvocations {
  void result(1: string id, 2: string result) throws (1: AuthorizationException aze);
  DRPCRequest fetchRequest(1: string functionName) throws (1: AuthorizationException aze);
  void failRequest(1: string id) throws (1: AuthorizationException aze);
  void failRequestV2(1: string id, 2: DRPCExecutionException e) throws (1: AuthorizationException aze);
}

service Supervisor {
  void sendSupervisorAssignments(1: SupervisorAssignments assignments) throws (1: AuthorizationException aze);
  Assignment getLocalAssignmentForStorm(1: string id)
      throws (1: NotAliveException e, 2: AuthorizationException aze);
  void sendSupervisorWorkerHeartbeat(1: SupervisorWorkerHeartbeat heartbeat)
      throws (1: AuthorizationException aze);
  // Ours. A part of the log of the worker of topology `id` on `port`; a negative `offset` counts from the end.
  LogPart readWorkerLog(1: string id, 2: string host, 3: i32 port, 4: i64 offset, 5: i32 length)
      throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. As readWorkerLog, of the samples of tuples that the worker has written.
  LogPart readWorkerEvents(1: string id, 2: string host, 3: i32 port, 4: i64 offset, 5: i32 length)
      throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. Where `text` stands in the logs of all workers of topology `id` here, those of before too: the newest
  // `records` of them.
  FoundRecords searchWorkerLogs(1: string id, 2: string text, 3: i32 records)
      throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. Of this host, and how it resolves `names`.
  HostReport getHostReport(1: list<string> names);
  // Ours. The stacks of all threads of the worker of topology `id` on `port`, as text.
  string getWorkerStacks(1: string id, 2: i32 port) throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. Where the worker's time goes in `secs` seconds; `format` is flamegraph (SVG), speedscope or raw. It answers
  // when they are over, or somebody calls stopProfile.
  binary profileWorker(1: string id, 2: i32 port, 3: i32 secs, 4: string format)
      throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. What is on the worker's heap, by type, as text.
  string getWorkerHeap(1: string id, 2: i32 port) throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. Record where the worker's time goes, for `secs` seconds at most; the other two answer with the name of a
  // flame graph (SVG) of what was recorded since the last one, for readWorkerDump.
  void startProfile(1: string id, 2: i32 port, 3: i32 secs)
      throws (1: AuthorizationException aze, 2: NotAliveException e);
  string dumpProfile(1: string id, 2: i32 port) throws (1: AuthorizationException aze, 2: NotAliveException e);
  string stopProfile(1: string id, 2: i32 port) throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. As readWorkerLog, of what was asked of the worker and kept beside its log, and of a log that was put aside:
  // worker.log.1 and so on.
  LogPart readWorkerDump(1: string id, 2: i32 port, 3: string name, 4: i64 offset, 5: i32 length)
      throws (1: AuthorizationException aze, 2: NotAliveException e);
  // Ours. The worker ends in order and is started again.
  void restartWorker(1: string id, 2: i32 port) throws (1: AuthorizationException aze, 2: NotAliveException e);
}
