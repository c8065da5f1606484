import Engine
import Foundation
import Yams

/// `cluster.yaml`: the machines that render, checked field by field.
package struct ClusterFile: Equatable, Sendable {
    /// One machine and the workers it runs.
    package struct Host: Equatable, Sendable {
        package var name: String
        package var workers: Int
        package var threads: Int?
    }

    /// Where the coordinator listens; nil for a private `ipc://` socket.
    package var endpoint: String?
    /// Folder of the model, as written: relative to the file's own folder.
    package var model: String?
    package var hosts: [Host]

    /// - Throws: `InputError` with the file, the line and the field of the first mistake
    package init(file path: String) throws(InputError) {
        let text: String
        do {
            text = try String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8)
        } catch {
            throw InputError(
                path,
                "it cannot be read as UTF-8 text",
                fix: "Check that the file exists"
            )
        }
        try self.init(yaml: text, place: path)
    }

    package init(yaml text: String, place: String) throws(InputError) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw InputError(place, "it is not YAML: \(ClusterFile.oneLine(error))", fix: "Mend it")
        } catch {
            throw InputError(place, "it is not YAML", fix: "Mend it")
        }
        var reader = try FieldReader(root, place: place, name: "the file")
        if let coordinator = reader.take("coordinator") {
            var fields = try FieldReader(coordinator, place: place, name: "coordinator")
            endpoint = try fields.string("endpoint")
            try fields.finish()
        }
        model = try reader.string("model")
        hosts = []
        for node in try reader.list("hosts") {
            var fields = try FieldReader(node, place: place, name: "a host")
            hosts.append(
                Host(
                    name: try fields.string("name") ?? "localhost",
                    workers: try fields.int("workers", in: 1...256) ?? 1,
                    threads: try fields.int("threads", in: 1...1024)
                )
            )
            try fields.finish()
        }
        try reader.finish()
        guard !hosts.isEmpty else {
            throw InputError(
                "\(place): hosts",
                "there is no host",
                fix: "List at least one, as - name: localhost"
            )
        }
    }

    /// The host of a file that names this one alone.
    ///
    /// - Throws: `InputError` when there are several hosts, or another one
    package func onlyHost(place: String) throws(InputError) -> Host {
        let own = ["localhost", "127.0.0.1", "::1", ProcessInfo.processInfo.hostName]
        guard hosts.count == 1, own.contains(hosts[0].name) else {
            let names = hosts.map(\.name).joined(separator: ", ")
            throw InputError(
                "\(place): hosts",
                "'\(names)' is more than this host",
                fix: "Name localhost alone; start other hosts' workers by hand"
            )
        }
        return hosts[0]
    }

    private static func oneLine(_ error: YamlError) -> String {
        String(describing: error).split(separator: "\n").map {
            $0.trimmingCharacters(in: .whitespaces)
        }.joined(separator: " ")
    }
}

/// Typed reads of one YAML mapping; every field left unread is an error with its line.
private struct FieldReader {
    private let place: String
    private var fields: [(key: Node, value: Node)]

    init(_ node: Node?, place: String, name: String) throws(InputError) {
        self.place = place
        guard let node, case .mapping(let mapping) = node else {
            throw InputError(
                node.map { Self.line(place, $0) } ?? place,
                "\(name) must be a mapping of fields",
                fix: "See cluster.yaml at the top of the project for an example"
            )
        }
        fields = mapping.map { ($0.key, $0.value) }
    }

    mutating func take(_ key: String) -> Node? {
        guard let i = fields.firstIndex(where: { $0.key.string == key }) else { return nil }
        let value = fields.remove(at: i).value
        return value.null == nil ? value : nil
    }

    mutating func string(_ key: String) throws(InputError) -> String? {
        guard let node = take(key) else { return nil }
        guard let value = node.string, !value.isEmpty else {
            throw InputError("\(Self.line(place, node)): \(key)", "it must be text", fix: "Mend it")
        }
        return value
    }

    mutating func int(_ key: String, in range: ClosedRange<Int>) throws(InputError) -> Int? {
        guard let node = take(key) else { return nil }
        guard let value = node.int, range.contains(value) else {
            throw InputError(
                "\(Self.line(place, node)): \(key)",
                "it must be a whole number from \(range.lowerBound) to \(range.upperBound)",
                fix: "Mend it"
            )
        }
        return value
    }

    mutating func list(_ key: String) throws(InputError) -> [Node] {
        guard let node = take(key) else { return [] }
        guard case .sequence(let items) = node else {
            throw InputError(
                "\(Self.line(place, node)): \(key)",
                "it must be a list",
                fix: "Mend it"
            )
        }
        return Array(items)
    }

    func finish() throws(InputError) {
        guard let (key, _) = fields.first else { return }
        throw InputError(
            Self.line(place, key),
            "there is no field '\(key.string ?? "?")' here",
            fix: "Remove it or correct its name"
        )
    }

    private static func line(_ place: String, _ node: Node) -> String {
        node.mark.map { "\(place):\($0.line)" } ?? place
    }
}
