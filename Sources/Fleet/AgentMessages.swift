import Foundation
import Protocol

/// A request to an agent, `tessera agent` on a host: one line of JSON on its standard input.
///
/// Settings for a host are sent in the request rather than on its command line, where anybody could read them and a
/// shell would interpret them.
package struct AgentRequest: Codable, Equatable, Sendable {
    package enum Task: String, Codable, Sendable {
        /// Start those workers that are not among the running processes, and watch all of them; the new ones end when
        /// standard input closes.
        case run
        /// Start workers; they keep running if the line `keep` follows.
        case start
        /// Report which processes are running.
        case check
        /// End processes.
        case stop
    }

    /// A worker process that an earlier agent started.
    package struct Known: Codable, Equatable, Sendable {
        package let name: String
        package let process: ProcessIdentity

        package init(name: String, process: ProcessIdentity) {
            (self.name, self.process) = (name, process)
        }
    }

    /// Tessera's version, which must be the same on both sides.
    package var version: String
    package var task: Task
    /// Names of the workers to start.
    package var names: [String] = []
    /// Threads of each worker; nil divides the host's cores evenly.
    package var threads: Int?
    /// Devices, assigned to the workers in turn; if empty, they compute on the processor.
    package var devices: [String] = []
    /// Arguments of `tessera worker`, except its name and threads.
    package var arguments: [String] = []
    package var environment: [String: String] = [:]
    /// The port on which the host's first worker sends the model to machines on its network; nil if none does.
    package var share: UInt16?
    /// Name of the folder for logs of persistent workers.
    package var folder = ""
    package var processes: [Known] = []
    /// Seconds that processes have to end by themselves before they are killed.
    package var patience = 10.0

    package init(version: String, task: Task) {
        (self.version, self.task) = (version, task)
    }

    /// Maximum size of a request in bytes, limited by what a pipe buffers without a reader.
    package static let maxLength = 60_000

    /// The request as a line of JSON.
    package func line() throws -> [UInt8] { Array(try AgentEvent.encoder.encode(self)) + [10] }
}

/// An agent's messages: lines on its standard output that start with `prefix`. All other lines come from other
/// programs, such as ssh or a login shell.
package struct AgentEvent: Codable, Equatable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// The agent is running; includes the number of the host's cores.
        case hello
        /// A worker was started.
        case started
        /// A worker wrote a line.
        case said
        /// A worker has ended.
        case ended
        /// The state of a process named in the request.
        case state
        /// All workers were started, or all processes checked.
        case done
        /// The request cannot be fulfilled.
        case failed
    }

    package var kind: Kind
    package var name: String?
    package var process: ProcessIdentity?
    package var text: String?
    package var cores: Int?
    package var isAlive: Bool?
    /// Whether the process is suspended, for example by SIGSTOP.
    package var isStopped: Bool?
    /// Whether a worker that has ended is about to be restarted.
    package var willReturn: Bool?

    package init(_ kind: Kind, name: String? = nil, text: String? = nil) {
        (self.kind, self.name) = (kind, name)
        self.text = text.map { printable($0, limit: 400) }
    }

    package static let prefix = "@tessera "

    /// Maximum length of a line, in bytes.
    static let maxLength = 8192

    static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    package func line() throws -> [UInt8] {
        Array(Self.prefix.utf8) + Array(try Self.encoder.encode(self)) + [10]
    }

    /// Parses a line; nil if it does not come from an agent.
    package init?(line: String) {
        guard line.hasPrefix(Self.prefix),
            let event = try? JSONDecoder().decode(
                AgentEvent.self,
                from: Data(line.dropFirst(Self.prefix.count).utf8)
            )
        else { return nil }
        self = event
        text = event.text.map { printable($0, limit: 400) }
    }
}
