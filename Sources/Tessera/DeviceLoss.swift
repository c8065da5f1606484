import Engine
import Foundation
import Glibc
import Logging

/// What a worker does when its device is lost: only a new process can use the device again, so it becomes one.
package struct DeviceLoss {
    /// Losses after which it gives up; the pauses before are 1, 2, 4, 8 and 16 s.
    static let most = 5
    /// Counts losses from process to process.
    private static let variable = "TESSERA_DEVICE_LOSSES"
    /// A process that ran for this long had a working device: earlier losses are forgotten.
    private static let memory: Duration = .seconds(600)

    private let start = ContinuousClock.now

    /// Losses before this process.
    private static var earlier: Int {
        ProcessInfo.processInfo.environment[variable].flatMap { Int($0) } ?? 0
    }

    /// How long to wait before the process is started again.
    ///
    /// - Parameter losses: so far, at least 1
    /// - Returns: nil to give up
    package static func pause(after losses: Int) -> Duration? {
        losses > most ? nil : .seconds(1 << (losses - 1))
    }

    /// Runs `body`; when it ends by the loss of its device, starts this program again under the same process id.
    ///
    /// - Throws: what `body` throws, and the loss after too many
    func surviving(_ logger: Logger, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as DeviceError where error.kind == .lost {
            let earlier = ContinuousClock.now - start > Self.memory ? 0 : Self.earlier
            guard let pause = Self.pause(after: earlier + 1) else { throw error }
            logger.warning(
                "\(error); starting again in \(pause / .seconds(1)) s (\(earlier + 1) of \(Self.most))"
            )
            Thread.sleep(forTimeInterval: pause / .seconds(1))
            // The new process must not keep the old one's connections open.
            let names =
                (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
            for descriptor in names.compactMap({ Int32($0) }) where descriptor > STDERR_FILENO {
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            }
            setenv(Self.variable, "\(earlier + 1)", 1)
            let arguments = CommandLine.arguments.map { strdup($0) } + [nil]
            execv("/proc/self/exe", arguments)
            throw error
        }
    }
}
