import ArgumentParser
import Engine
import Foundation
import Protocol

/// A coordinator's keys.
struct CoordinatorSecurityFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp("The coordinator's secret key (tessera keys new).", valueName: "file"),
        completion: .file()
    )
    var keys: String?

    @Option(
        help: ArgumentHelp("List of the public keys of workers that may join.", valueName: "file"),
        completion: .file()
    )
    var allow: String?

    @Flag(help: "Listen on the network without keys: anyone can read the traffic and join.")
    var insecure = false

    mutating func validate() throws {
        guard (keys == nil) == (allow == nil) else {
            throw ValidationError("--keys and --allow go together.")
        }
    }

    /// The same flags, to pass on to another command that may run in any folder.
    var arguments: [String] {
        let files = [("--keys", keys), ("--allow", allow)].compactMap { flag, path in
            path.map { "\(flag)=" + URL(fileURLWithPath: $0).standardizedFileURL.path }
        }
        return files + (insecure ? ["--insecure"] : [])
    }

    /// - Throws: `InputError` for files that contain no keys
    func security() throws(InputError) -> Security {
        guard let keys, let allow else { return .open }
        return .coordinator(try KeyFile.pair(keys), allowed: try AllowedKeys(file: allow))
    }

    /// The addresses that the coordinator may listen on.
    var reach: Endpoint.Reach { keys != nil || insecure ? .network : .thisMachine }
}

/// A worker's keys.
struct WorkerSecurityFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp("This worker's secret key (tessera keys new).", valueName: "file"),
        completion: .file()
    )
    var keys: String?

    @Option(
        help: ArgumentHelp("The coordinator's public key, a .pub file.", valueName: "file"),
        completion: .file(extensions: ["pub"])
    )
    var coordinatorKey: String?

    @Flag(help: "Connect over the network without keys: anyone can read the traffic and answer.")
    var insecure = false

    mutating func validate() throws {
        guard (keys == nil) == (coordinatorKey == nil) else {
            throw ValidationError("--keys and --coordinator-key go together.")
        }
    }

    /// - Throws: `InputError` for files that contain no keys
    func security() throws(InputError) -> Security {
        guard let keys, let coordinatorKey else { return .open }
        return .worker(
            try KeyFile.pair(keys),
            coordinator: try KeyFile.publicKey(coordinatorKey)
        )
    }

    /// The addresses that the worker may connect to.
    var reach: Endpoint.Reach { keys != nil || insecure ? .network : .thisMachine }
}
