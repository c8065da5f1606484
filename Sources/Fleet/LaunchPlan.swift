import Coordinator
import Engine
import Foundation
import Protocol

/// How to start the workers of a cluster file: turns file and flags into commands. Pure.
package struct LaunchPlan: Sendable {
    /// Settings shared by all workers.
    package struct Common: Sendable {
        /// Version of this program.
        package var version: String
        /// Path of this program.
        package var program: String
        /// The coordinator's model, for hosts that name none.
        package var model: String
        /// LoRA files to merge, and the configuration of a single-file model.
        package var loras: [LoRASource] = []
        package var modelConfig: String?
        /// Parts of the model that are loaded from elsewhere.
        package var parts = ModelParts()
        /// Further `tessera worker` flags for the model.
        package var modelFlags: [String] {
            loras.flatMap { ["--lora", $0.argument] }
                + (modelConfig.map { ["--model-config", $0] } ?? [])
                + parts.flags.flatMap { ["--\($0.name)", $0.value] }
        }
        /// Flags that override the file's fields.
        package var workers: Int?
        package var threads: Int?
        package var backend: BackendKind?
        package var precision: Precision?
        package var devices: [DeviceName] = []
        /// PyTorch's folder on this machine.
        package var torch: String?
        package var batch: Int?

        package init(version: String, model: String) {
            self.version = version
            self.model = model
            program = Spawn.thisProgram
        }

        /// Makes a coordinator require these settings of its workers.
        package func require(of configuration: inout Cluster.Configuration) {
            configuration.required = WorkerRequirements(
                model: ModelIdentity(
                    digest: configuration.required.model.digest,
                    path: model
                )
            )
            configuration.required.loras = loras.map(\.argument)
            configuration.required.modelConfig = modelConfig
            configuration.required.parts = parts
            configuration.required.backend = backend?.rawValue
            configuration.required.precision = precision?.rawValue
        }
    }

    package let file: ClusterFile
    /// Path of the cluster file.
    package let path: String
    package let common: Common

    package init(_ file: ClusterFile, path: String, _ common: Common) {
        (self.file, self.path, self.common) = (file, path, common)
    }

    private var folder: String {
        URL(fileURLWithPath: path).deletingLastPathComponent().path
    }

    /// The cluster's folder, for keys and machines that joined; nil if the user has no home folder.
    private var clusterFolder: ClusterFolder? { try? ClusterFolder(for: path) }

    /// Generated keys, if the file names none.
    private var madeKeys: ClusterKeys? {
        guard file.coordinator.keys == nil, !file.coordinator.insecure,
            file.coordinator.endpoint?.hasPrefix("tcp://") == true
        else { return nil }
        return clusterFolder.flatMap { ClusterKeys(madeIn: $0.path) }
    }

    /// Generates keys if the file needs them and names none.
    ///
    /// - Throws: `InputError` if they cannot be written
    func prepareKeys() throws {
        if file.needsKeys { try ClusterMembers(file, path: path).prepare() }
    }

    /// Names of a host's workers.
    package func names(_ host: ClusterFile.Host) -> [String] {
        let devices = common.devices.isEmpty ? nil : common.devices.count
        return (1...(common.workers ?? devices ?? host.workers)).map { "\(host.name)-\($0)" }
    }

    /// The command that starts a host's agent.
    package func command(_ host: ClusterFile.Host) -> [String] {
        guard !host.isThisOne else {
            guard let program = host.program else { return [common.program, "agent"] }
            let isPath = program.contains("/")
            return [isPath ? ClusterFile.resolve(program, in: path) : program, "agent"]
        }
        return (host.launch ?? file.launch).command(
            [host.program ?? "tessera", "agent"],
            host: host.name,
            folder: folder
        )
    }

    /// A call that starts workers.
    ///
    /// - Parameters:
    ///   - host: the host
    ///   - task: the workers to start; nil for all of the host
    ///   - names: the endpoint that the coordinator listens on
    ///   - endpoint: workers that an earlier command left running on the host
    ///   - leftRunning: the command and request
    /// - Returns: command and request
    package func call(
        _ host: ClusterFile.Host,
        _ task: AgentRequest.Task,
        names: [String]? = nil,
        endpoint: String,
        leftRunning: [AgentRequest.Known] = []
    ) -> HostCall {
        var request = AgentRequest(version: common.version, task: task)
        request.names = names ?? self.names(host)
        request.processes = leftRunning
        request.threads = common.threads ?? host.threads
        request.environment = host.environment
        /// Resolves paths on this machine relative to the file; paths on other hosts are used as written.
        func there(_ path: String) -> String {
            host.isThisOne ? ClusterFile.resolve(path, in: self.path) : path
        }
        var worker = WorkerArguments(
            endpoint: host.connect ?? file.coordinator.connect ?? endpoint,
            model: host.model.map(there) ?? common.model
        )
        worker.modelFlags = common.modelFlags
        worker.backend = common.backend ?? host.backend
        worker.precision = common.precision ?? host.precision
        worker.batch = common.batch ?? host.batch
        // A backend chosen for all workers that is not PyTorch computes on processors, even if the host has GPUs.
        let usesTorch = common.backend.map { $0 == .torch } ?? true
        let ownTorch = host.torch.map(there) ?? (host.isThisOne ? common.torch : nil)
        worker.torch = usesTorch ? ownTorch : nil
        let devices = usesTorch && common.devices.isEmpty ? host.devices : common.devices
        request.devices = devices.map(\.rawValue)
        worker.socksProxy = host.socksProxy
        worker.insecure = file.coordinator.insecure
        if let keys = host.keys, let coordinator = host.coordinatorKey {
            worker.keys = (there(keys), there(coordinator))
        } else if host.isThisOne, let made = madeKeys {
            worker.keys = (made.worker, made.coordinatorPublic)
        }
        request.arguments = worker.flags
        request.share = host.share
        request.patience = file.timeouts.stop / .seconds(1)
        return HostCall(host: host.name, command: command(host), request: request)
    }

    /// The coordinator's configuration.
    ///
    /// - Parameters:
    ///   - identity: identity of its model
    ///   - fallback: the endpoint to use if the file gives none
    /// - Returns: endpoint, keys and policy
    /// - Throws: `InputError` for an invalid address, or for keys that cannot be read
    package func configuration(
        _ identity: ModelIdentity,
        fallback: Endpoint?
    ) throws(InputError) -> Cluster.Configuration {
        let coordinator = file.coordinator
        let made = madeKeys
        let hasKeys = coordinator.keys != nil || made != nil
        let reach: Endpoint.Reach = hasKeys || coordinator.insecure ? .network : .thisMachine
        let endpoint: Endpoint
        if let text = coordinator.endpoint {
            do throws(InputError) {
                endpoint = try Endpoint(
                    text,
                    reach: reach,
                    keys:
                        "with keys: and allow: under coordinator:, let tessera cluster invite make them"
                )
            } catch {
                throw InputError(
                    "\(path): coordinator: endpoint: \(error.place)",
                    error.problem,
                    fix: error.remedy
                )
            }
        } else if let fallback {
            endpoint = fallback
        } else {
            throw InputError(
                "\(path): coordinator: endpoint",
                "it is missing, and workers that stay must find every later coordinator",
                fix: "Write endpoint: tcp://127.0.0.1:7551, or this machine's address"
            )
        }
        var configuration = Cluster.Configuration(endpoint: endpoint, model: identity)
        common.require(of: &configuration)
        if file.isSelection { configuration.selected = Set(file.hosts.flatMap(names)) }
        if let keys = coordinator.keys, let allow = coordinator.allow {
            configuration.security = .coordinator(
                try KeyFile.pair(ClusterFile.resolve(keys, in: path)),
                allowed: try AllowedKeys(
                    file: ClusterFile.resolve(allow, in: path),
                    joined: clusterFolder?.joined
                )
            )
        } else if let made {
            configuration.security = .coordinator(
                try KeyFile.pair(made.coordinator),
                allowed: try AllowedKeys(
                    file: nil,
                    own: [try KeyFile.pair(made.worker).publicKey],
                    joined: clusterFolder?.joined
                )
            )
        }
        configuration.policy.silence = file.timeouts.silence
        configuration.policy.grace = file.timeouts.grace
        return configuration
    }
}
