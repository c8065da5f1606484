import Foundation
import Protocol

/// A request to an agent, `tessera agent` on a host: one line of JSON on its standard input.
///
/// What a host needs to know is sent here and not on its command line, where anybody could read it
/// and a shell would interpret it.
package struct AgentRequest: Codable, Equatable, Sendable {
    package enum Task: String, Codable, Sendable {
        /// Start those workers that are not among the running processes, to end with the standard input, and watch
        /// all of them.
        case run
        /// Start workers that keep running, if the word `keep` follows.
        case start
        /// Report which processes run.
        case check
        /// End processes.
        case stop
    }

    /// A process that an earlier agent started.
    package struct Known: Codable, Equatable, Sendable {
        package let name: String
        package let process: ProcessIdentity

        package init(name: String, process: ProcessIdentity) {
            (self.name, self.process) = (name, process)
        }
    }

    /// Tessera's version: both sides must be the same.
    package var version: String
    package var task: Task
    /// Workers to start.
    package var names: [String] = []
    /// Threads of each; nil shares the host's cores evenly.
    package var threads: Int?
    /// What they compute on, each on the next one; empty: on the processor.
    package var devices: [String] = []
    /// Arguments of `tessera worker` without its name and threads.
    package var arguments: [String] = []
    package var environment: [String: String] = [:]
    /// The port at which the first of the host's workers sends the model to machines on its network; nil: none does.
    package var share: UInt16?
    /// Name of the folder for the logs of persistent workers.
    package var folder = ""
    package var processes: [Known] = []
    /// Seconds that processes have to end by themselves.
    package var patience = 10.0

    package init(version: String, task: Task) {
        (self.version, self.task) = (version, task)
    }

    /// Maximum size of a request, in bytes: what a pipe buffers without a reader.
    package static let maxLength = 60_000

    /// The line that is sent.
    package func line() throws -> [UInt8] { Array(try AgentEvent.encoder.encode(self)) + [10] }
}

/// An agent's messages: lines on its standard output, each with `prefix`. All other lines
/// come from other programs, such as ssh or a login shell.
package struct AgentEvent: Codable, Equatable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// The agent is running; with the number of the host's cores.
        case hello
        /// A worker was started.
        case started
        /// A worker wrote a line.
        case said
        /// A worker has ended.
        case ended
        /// The state of a process of the request.
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
    /// Whether the process is stopped, as by SIGSTOP.
    package var isStopped: Bool?
    /// Whether a worker that has ended is about to be started again.
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

    /// Parses a line; nil for lines that are not an agent's.
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
