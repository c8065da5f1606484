import CZeroMQ
import Foundation
import Glibc

/// A process on a machine, distinguished from every other process that ever has its pid.
package struct ProcessIdentity: Codable, Hashable, Sendable {
    /// Its pid.
    package let id: Int32
    /// Start time, in clock ticks since boot.
    package let start: UInt64
    /// Boot id of the machine.
    package let boot: String

    package init(id: Int32, start: UInt64, boot: String) {
        (self.id, self.start, self.boot) = (id, start, boot)
    }

    /// The process that has this pid now; nil if there is none, or if it has ended but was not yet reaped.
    package init?(of id: Int32) {
        guard
            let boot = try? String(
                contentsOfFile: "/proc/sys/kernel/random/boot_id",
                encoding: .utf8
            ),
            let fields = Self.fields(of: id), let state = fields.first, state != "Z", state != "X",
            let start = UInt64(fields[19])
        else { return nil }
        self.init(
            id: id,
            start: start,
            boot: boot.trimmingCharacters(in: .whitespacesAndNewlines)
        )
    }

    /// The fields of /proc/ID/stat after the name, which may contain anything: the state, which is field 3, comes
    /// first, and the start time, field 22, has the index 19.
    private static func fields(of id: Int32) -> [Substring]? {
        guard id > 0, let text = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
            let name = text.lastIndex(of: ")")
        else { return nil }
        let fields = Array(text[name...].split(separator: " ").dropFirst())
        return fields.count > 19 ? fields : nil
    }

    /// Whether it is still running on this machine.
    package var isAlive: Bool { ProcessIdentity(of: id) == self }

    /// Whether it was stopped by a signal or a debugger.
    package var isStopped: Bool {
        guard let state = Self.fields(of: id)?.first, state == "T" || state == "t" else {
            return false
        }
        return isAlive
    }

    /// The outcome of terminating a process.
    package enum Ending: String, Sendable {
        case wasGone
        case ended
        case killed
        /// It cannot be signalled, or survives even SIGKILL.
        case stays
    }

    /// Terminates it with SIGTERM, then with SIGKILL if it has not ended in time. A process that has reused its pid is
    /// left alone.
    package func end(patience: Duration) -> Ending {
        let descriptor = tessera_pidfd_open(id)
        guard descriptor >= 0 else { return isAlive ? .stays : .wasGone }
        defer { close(descriptor) }
        // The descriptor was opened first, so the process that is checked here is the one that is signalled.
        guard isAlive else { return .wasGone }
        guard tessera_pidfd_signal(descriptor, SIGTERM) == 0 else {
            return isAlive ? .stays : .ended
        }
        if Self.wait(for: descriptor, patience) { return .ended }
        _ = tessera_pidfd_signal(descriptor, SIGKILL)
        return Self.wait(for: descriptor, .seconds(5)) ? .killed : .stays
    }

    /// Waits until a pidfd becomes readable, which happens when its process ends.
    private static func wait(for descriptor: Int32, _ time: Duration) -> Bool {
        let end = ContinuousClock.now + time
        while true {
            let left = max(.zero, ContinuousClock.now.duration(to: end))
            var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let count = poll(&item, 1, Int32(min(left.milliseconds + 1, 3_600_000)))
            if count > 0 { return true }
            if count == 0 || errno != EINTR { return false }
        }
    }
}
