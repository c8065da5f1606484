import Foundation
import Protocol

/// What an agent, `tessera agent` on a host, is asked: one line of JSON on its standard input.
///
/// What a host needs to know travels here and not on its command line: there anybody could read it,
/// and a shell would have to.
package struct AgentRequest: Codable, Equatable, Sendable {
    package enum Task: String, Codable, Sendable {
        /// Start workers that end with the standard input.
        case run
        /// Start workers that stay, if the word `keep` follows.
        case start
        /// Say which processes run.
        case look
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

    /// Of Tessera: both sides must be the same.
    package var version: String
    package var task: Task
    /// Workers to start.
    package var names: [String] = []
    /// Threads of each; nil shares the host's cores evenly.
    package var threads: Int?
    /// Arguments of `tessera worker` without its name and threads.
    package var arguments: [String] = []
    package var environment: [String: String] = [:]
    /// Name of the folder for what workers that stay say.
    package var folder = ""
    package var processes: [Known] = []
    /// Seconds that processes have to end by themselves.
    package var patience = 10.0

    package init(version: String, task: Task) {
        (self.version, self.task) = (version, task)
    }

    /// Longest request, in bytes: what a pipe holds without a reader.
    package static let longest = 60_000

    /// The line that is sent.
    package func line() throws -> [UInt8] { Array(try AgentEvent.encoder.encode(self)) + [10] }
}

/// What an agent says: lines on its standard output, each with `prefix`. Whatever else comes from
/// there was said by others, by ssh or a login shell.
package struct AgentEvent: Codable, Equatable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// The agent works; with the host's cores.
        case hello
        /// A worker was started.
        case started
        /// A worker wrote a line.
        case said
        /// A worker has ended.
        case ended
        /// How a process of the request fares.
        case state
        /// All workers were started, or all processes looked at.
        case done
        /// The request cannot be met.
        case failed
    }

    package var kind: Kind
    package var name: String?
    package var process: ProcessIdentity?
    package var text: String?
    package var cores: Int?
    package var isAlive: Bool?

    package init(_ kind: Kind, name: String? = nil, text: String? = nil) {
        (self.kind, self.name) = (kind, name)
        self.text = text.map { printable($0, limit: 400) }
    }

    package static let prefix = "@tessera "

    /// Longest line, in bytes.
    static let longest = 8192

    static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    package func line() throws -> [UInt8] {
        Array(Self.prefix.utf8) + Array(try Self.encoder.encode(self)) + [10]
    }

    /// Reads a line; nil for what no agent said.
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
