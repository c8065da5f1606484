import Engine
import Foundation
import Protocol
import Yams

/// `cluster.yaml`: the machines that render. Every field is validated; docs/cluster.md describes them.
package struct ClusterFile: Equatable, Sendable {
    package struct Coordinator: Equatable, Sendable {
        /// The endpoint to listen on; nil for a private `ipc://` socket.
        package var endpoint: String?
        /// The endpoint that workers connect to, if it differs.
        package var connect: String?
        /// Path of the coordinator's secret key, relative to the file.
        package var keys: String?
        /// Path of the public keys of workers that may join, relative to the file.
        package var allow: String?
        /// Whether to run unencrypted, so that anybody can read the traffic and join.
        package var insecure = false
        /// Whether to announce the endpoint on the network segment.
        package var announce = false

        package init() {}
    }

    /// Whether the hosts are a selection made by `only`.
    package private(set) var isSelection = false

    package struct Timeouts: Equatable, Sendable {
        /// Until a host answers the launch command.
        package var start: Duration = .seconds(30)
        /// Until enough workers have loaded their models and joined.
        package var join: Duration = .seconds(300)
        /// Until workers end by themselves.
        package var stop: Duration = .seconds(10)
        /// How long a worker may be silent before it counts as lost.
        package var silence: Duration = .seconds(10)
        /// How long a render waits without any worker.
        package var grace: Duration = .seconds(60)

        package init() {}
    }

    /// One machine and the workers it runs.
    package struct Host: Equatable, Sendable {
        package var name: String
        package var workers: Int
        /// Threads of each worker; nil divides the host's cores evenly.
        package var threads: Int?
        package var backend: BackendKind?
        package var precision: Precision?
        /// PyTorch devices, each with a worker of its own; if empty, workers compute on the processor.
        package var devices: [DeviceName] = []
        /// PyTorch's folder on that host; nil searches for it.
        package var torch: String?
        /// Batch size of a worker, in views; nil chooses it by measurement.
        package var batch: Int?
        /// The model's path on that host; nil for the coordinator's path.
        package var model: String?
        /// Tessera's path on that host.
        package var program: String?
        package var labels: [String] = []
        package var keys: String?
        package var coordinatorKey: String?
        /// The endpoint that its workers connect to, if it differs from that of other hosts.
        package var connect: String?
        /// `HOST:PORT` of the SOCKS proxy that they connect through.
        package var socksProxy: String?
        /// The port on which it sends the model to machines on its network; 0 lets the system choose, nil disables
        /// sharing.
        package var share: UInt16?
        package var environment: [String: String] = [:]
        package var launch: LaunchTemplate?

        /// Whether its workers are started without a launch command.
        package var isThisOne: Bool {
            launch == nil
                && ["localhost", "127.0.0.1", "::1", ProcessInfo.processInfo.hostName]
                    .contains(name)
        }
    }

    package var coordinator = Coordinator()
    /// Path of the model as written, relative to the folder of the file.
    package var model: String?
    package var launch: LaunchTemplate
    package var timeouts = Timeouts()
    /// Number of workers that must have joined before a render starts.
    package var minWorkers: Int?
    package var hosts: [Host] = []

    private static let longest = 1 << 18

    /// - Parameters:
    ///   - path: path of the file
    ///   - needsHosts: whether the file must have a host, or an endpoint on which machines join by invitation
    /// - Throws: `InputError` with the file, line and field of the first error
    package init(file path: String, needsHosts: Bool = true) throws(InputError) {
        let text = try InputFile.text(path, limit: Self.longest)
        try self.init(yaml: text, place: path, needsHosts: needsHosts)
    }

    /// - Parameters:
    ///   - text: contents of a file
    ///   - place: name of the file, for error messages
    ///   - needsHosts: whether the text must have a host, or an endpoint on which machines join by invitation
    /// - Throws: `InputError` with the place, line and field of the first error
    package init(yaml text: String, place: String, needsHosts: Bool = true) throws(InputError) {
        var reader = try FieldReader(
            try YAMLForm.root(text, place: place),
            file: place,
            name: FieldReader.wholeFile
        )
        let section = reader.take("coordinator")
        if let section { coordinator = try Self.coordinator(section, place) }
        model = try reader.string("model")
        launch = try Self.launch(&reader) ?? Self.defaultLaunch
        let shared = try Self.environment(&reader)
        if let node = reader.take("timeouts") { timeouts = try Self.timeouts(node, place) }
        let least = reader
        minWorkers = try reader.int("min-workers", in: 1...65_536)
        var names: Set<String> = []
        for node in try reader.list("hosts") {
            let (host, fields) = try self.host(node, place, shared)
            guard names.insert(host.name).inserted else {
                throw fields.fault(
                    "name",
                    node,
                    "'\(host.name)' is in the list already",
                    fix: "Give it more workers, or another name and a launch of its own"
                )
            }
            hosts.append(host)
        }
        try reader.finish(
            known: "coordinator, model, launch, environment, timeouts, min-workers, hosts"
        )
        guard !hosts.isEmpty || !needsHosts || coordinator.endpoint != nil else {
            throw InputError(
                "\(place): hosts",
                "no host is listed, and without an endpoint no machine can join",
                fix: "List at least one, as - name: localhost"
            )
        }
        let all = hosts.reduce(0) { $0 + $1.workers }
        if let minWorkers, minWorkers > all, !hosts.isEmpty {
            var least = least
            throw least.fault(
                "min-workers",
                least.take("min-workers"),
                "the hosts run no more than \(all)",
                fix: "Write at most \(all)"
            )
        }
        if coordinator.endpoint == nil, let far = hosts.first(where: { !$0.isThisOne }) {
            throw InputError(
                "\(place): coordinator: endpoint",
                "it is missing, and \(far.name) must find the coordinator",
                fix: "Write endpoint: tcp://ADDRESS:7551 with this machine's address"
            )
        }
    }

    private static let defaultLaunch: LaunchTemplate = {
        do {
            return try LaunchTemplate(LaunchTemplate.defaultText)
        } catch {
            preconditionFailure("\(error)")
        }
    }()

    private static func coordinator(
        _ node: Node,
        _ place: String
    ) throws(InputError) -> Coordinator {
        var fields = try FieldReader(node, file: place, name: "coordinator")
        var found = Coordinator()
        let endpoint = try fields.located("endpoint")
        if let (text, node) = endpoint { try check(endpoint: text, "endpoint", node, fields) }
        found.endpoint = endpoint?.text
        if let (text, node) = try fields.located("connect") {
            try check(endpoint: text, "connect", node, fields)
            found.connect = text
        }
        found.keys = try fields.string("keys")
        found.allow = try fields.string("allow")
        found.insecure = try fields.bool("insecure") ?? false
        found.announce = try fields.bool("announce") ?? false
        try fields.finish(known: "endpoint, connect, keys, allow, insecure, announce")
        try checkAnnouncement(found, fields)
        guard (found.keys == nil) == (found.allow == nil) else {
            throw fields.fault(
                found.keys == nil ? "keys" : "allow",
                nil,
                "it is missing: keys and allow go together",
                fix: "Name the coordinator's secret key and the list of workers' public keys"
            )
        }
        return found
    }

    /// Checks only the syntax: whether the endpoint works is known only when it is used.
    private static func check(
        endpoint text: String,
        _ key: String,
        _ node: Node,
        _ fields: FieldReader
    ) throws(InputError) {
        let rest = text.dropFirst("tcp://".count)
        let isTCP =
            text.hasPrefix("tcp://")
            && rest.lastIndex(of: ":").map { colon in
                colon > rest.startIndex && UInt16(rest[rest.index(after: colon)...]) != nil
            } ?? false
        guard isTCP || text.hasPrefix("ipc:///") else {
            throw fields.fault(
                key,
                node,
                "'\(text)' is not a valid address",
                fix: "Write tcp://HOST:PORT or ipc:///path"
            )
        }
    }

    private static func timeouts(_ node: Node, _ place: String) throws(InputError) -> Timeouts {
        var fields = try FieldReader(node, file: place, name: "timeouts")
        var found = Timeouts()
        let hour = 1.0...3600.0
        found.start = try fields.seconds("start", in: hour) ?? found.start
        found.join = try fields.seconds("join", in: 1...86_400) ?? found.join
        found.stop = try fields.seconds("stop", in: hour) ?? found.stop
        found.silence = try fields.seconds("silence", in: 2...3600) ?? found.silence
        found.grace = try fields.seconds("grace", in: 1...86_400) ?? found.grace
        try fields.finish(known: "start, join, stop, silence, grace")
        return found
    }

    private static func launch(_ fields: inout FieldReader) throws(InputError) -> LaunchTemplate? {
        guard let node = fields.take("launch") else { return nil }
        do throws(LaunchTemplate.Problem) {
            if case .sequence(let items) = node {
                let words = items.compactMap { $0.scalar?.string }
                guard words.count == items.count else {
                    throw LaunchTemplate.Problem(
                        text: "it must be a list of words",
                        remedy: "Write text only"
                    )
                }
                return try LaunchTemplate(words: words)
            }
            guard let text = node.scalar?.string else {
                throw LaunchTemplate.Problem(
                    text: "it must be text or a list of words",
                    remedy: "Write it as in ssh {host} {command}"
                )
            }
            return try LaunchTemplate(text)
        } catch {
            throw fields.fault("launch", node, error.text, fix: error.remedy)
        }
    }

    private static func environment(
        _ fields: inout FieldReader
    ) throws(InputError) -> [String: String] {
        var found: [String: String] = [:]
        for (key, value) in try fields.pairs("environment") {
            let name = key.scalar?.string ?? ""
            let isName =
                name.unicodeScalars.allSatisfy {
                    $0.isASCII && ($0.properties.isAlphabetic || $0 == "_" || ("0"..."9" ~= $0))
                } && !name.isEmpty && !("0"..."9" ~= name.unicodeScalars.first ?? "0")
            guard isName else {
                throw fields.fault(
                    "environment",
                    key,
                    "'\(name)' is not a valid variable name",
                    fix: "Use letters, digits and _"
                )
            }
            guard let text = value.scalar?.string, !text.contains("\0") else {
                throw fields.fault(name, value, "it must be text", fix: "Quote it")
            }
            found[name] = text
        }
        return found
    }

    private func host(
        _ node: Node,
        _ place: String,
        _ shared: [String: String]
    ) throws(InputError) -> (Host, FieldReader) {
        var fields = try FieldReader(node, file: place, name: "a host")
        let written = fields
        guard let name = try fields.located("name") else {
            throw fields.fault("name", nil, "it is missing", fix: "Write - name: HOST")
        }
        // Reject names that ssh would parse as a flag, or a shell as several words.
        let allowed = "0123456789._-:@%[]".unicodeScalars
        guard !name.text.hasPrefix("-"), name.text.count <= 200,
            name.text.unicodeScalars.allSatisfy({
                $0.isASCII && ($0.properties.isAlphabetic || allowed.contains($0))
            })
        else {
            throw fields.fault(
                "name",
                name.node,
                "'\(name.text)' is not a valid host name",
                fix: "Write HOST or USER@HOST"
            )
        }
        var host = Host(
            name: name.text,
            workers: 1,
            threads: try fields.int("threads", in: 1...1024),
            backend: try fields.choice("backend", of: BackendKind.self),
            precision: try fields.choice("precision", of: Precision.self),
            devices: try Self.devices(&fields),
            torch: try fields.string("torch"),
            batch: try fields.int("batch", in: 1...BatchSizes.most),
            model: try fields.string("model"),
            program: try fields.string("tessera"),
            labels: try fields.strings("labels"),
            keys: try fields.string("keys"),
            coordinatorKey: try fields.string("coordinator-key")
        )
        host.workers =
            try fields.int("workers", in: 1...256) ?? max(1, host.devices.count)
        try host.refuseContradictions(written)
        if let (text, node) = try fields.located("connect") {
            try Self.check(endpoint: text, "connect", node, fields)
            host.connect = text
        }
        if let (text, node) = try fields.located("socks-proxy") {
            do throws(InputError) {
                host.socksProxy = try SocksProxy(text).address
            } catch {
                throw fields.fault(
                    "socks-proxy",
                    node,
                    "'\(text)': \(error.problem)",
                    fix: error.remedy
                )
            }
        }
        host.share = try fields.int("share", in: 0...Int(UInt16.max)).map { UInt16($0) }
        host.environment = try shared.merging(Self.environment(&fields)) { _, own in own }
        host.launch = try Self.launch(&fields)
        try fields.finish(
            known:
                "name, workers, threads, precision, backend, device, devices, torch, batch, model, tessera, labels, "
                + "keys, coordinator-key, connect, socks-proxy, share, environment, launch"
        )
        try check(host, fields)
        try checkSharing(host, written)
        return (host, fields)
    }

    private func check(_ host: Host, _ fields: FieldReader) throws(InputError) {
        func fault(_ key: String, _ problem: String, _ fix: String) -> InputError {
            fields.fault(key, nil, "\(host.name): \(problem)", fix: fix)
        }
        guard (host.keys == nil) == (host.coordinatorKey == nil) else {
            throw fault(
                host.keys == nil ? "keys" : "coordinator-key",
                "it is missing: keys and coordinator-key go together",
                "Name the worker's secret key and the coordinator's public one"
            )
        }
        if coordinator.keys != nil, host.keys == nil {
            throw fault(
                "keys",
                "the coordinator has keys, so its workers need them",
                "Name keys and coordinator-key as they are called on that host"
            )
        }
        if coordinator.keys == nil, host.keys != nil {
            throw fault(
                "keys",
                "the coordinator has none",
                "Write keys and allow under coordinator too"
            )
        }
        let everywhere = ["tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"]
        if let endpoint = coordinator.endpoint, coordinator.connect == nil, host.connect == nil,
            everywhere.contains(where: endpoint.hasPrefix)
        {
            throw fault(
                "connect",
                "the coordinator listens on all interfaces, which is not an address to connect to",
                "Write connect: tcp://ADDRESS:PORT here or under coordinator"
            )
        }
    }

    /// Resolves a path in the file to a path on this machine.
    ///
    /// - Parameters:
    ///   - path: a path relative to the folder of the file
    ///   - file: path of the cluster file
    /// - Returns: the absolute path
    package static func resolve(_ path: String, in file: String) -> String {
        let expanded = UserFolder.expanded(path)
        return URL(fileURLWithPath: expanded, relativeTo: URL(fileURLWithPath: file)).path
    }

    /// A copy with only those hosts whose name or label is in the list.
    ///
    /// - Throws: `InputError` for a name that matches no host
    package func only(_ wanted: [String]) throws(InputError) -> ClusterFile {
        guard !wanted.isEmpty else { return self }
        for name in wanted
        where !hosts.contains(where: { $0.name == name || $0.labels.contains(name) }) {
            throw InputError(
                "--only \(name)",
                "no host has this name or label",
                fix: "The hosts are \(hosts.map(\.name).joined(separator: ", "))"
            )
        }
        var copy = self
        copy.isSelection = true
        copy.hosts = hosts.filter { host in
            wanted.contains { host.name == $0 || host.labels.contains($0) }
        }
        return copy
    }
}
