import Coordinator
import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// Searches this network segment with `avahi-browse` for coordinators that announce themselves.
package enum LANBrowser {
    private static let program = "avahi-browse"
    /// Timeout in seconds; normally the search ends by itself within a few.
    private static let patience: TimeInterval = 15
    /// Maximum number of lines that are kept.
    private static let maxLines = 4096

    /// - Returns: the services that are announced now
    /// - Throws: `ClusterUnavailable` if avahi is not installed or not running
    package static func search() throws -> [LANService] {
        let lines = Mutex<[String]>([])
        let ending = Mutex<ChildProcess.Ending?>(nil)
        let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(nothing) }
        let child: ChildProcess
        do {
            child = try ChildProcess(
                program,
                LANService.browseArguments,
                environment: ["LC_ALL": "C.UTF-8"],
                name: program,
                lifeline: nothing,
                maxLineLength: 4000,
                onLine: { line in
                    lines.withLock { if $0.count < maxLines { $0.append(line) } }
                },
                onEnd: { _, how in ending.withLock { $0 = how } }
            )
        } catch is InputError {
            throw ClusterUnavailable(
                "\(program): it is not installed, and it finds machines on the network. Install avahi-daemon and "
                    + "avahi-utils, or join with the whole line that tessera cluster invite prints"
            )
        }
        if !child.wait(until: .now + .seconds(patience)) {
            child.signal(SIGKILL)
            child.wait()
        }
        let (printed, how) = (lines.withLock { $0 }, ending.withLock { $0 })
        guard how == .exited(0) || printed.contains(where: { $0.hasPrefix("=;") }) else {
            let reason = printed.last ?? how.map { "it \($0)" } ?? "it did not end"
            throw ClusterUnavailable(
                "\(program): \(reason.withoutFullStop). Start avahi-daemon (systemctl start avahi-daemon), or join with "
                    + "the whole line that tessera cluster invite prints"
            )
        }
        return LANService.services(printed)
    }
}
