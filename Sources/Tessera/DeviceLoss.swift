import Engine
import Fleet
import Foundation
import Glibc
import Logging

/// How a worker recovers from losing its device: only a new process can use the device again, so it replaces itself.
package struct DeviceLoss {
    /// Carries the number of losses from process to process.
    private static let variable = "TESSERA_DEVICE_LOSSES"

    private let start = ContinuousClock.now

    /// Losses in earlier processes.
    package static var earlier: Int {
        ProcessInfo.processInfo.environment[variable].flatMap { Int($0) } ?? 0
    }

    /// Whether the error means that the device was lost. After a loss, a driver that is still resetting rejects the
    /// next process.
    package static func isLoss(_ error: any Error, after losses: Int = earlier) -> Bool {
        if let error = error as? DeviceError { return error.kind == .lost }
        return losses > 0 && (error as? InputError)?.place.hasPrefix("--device ") == true
    }

    /// Runs `body`; if its device is lost, restarts this program with the same process id.
    ///
    /// - Throws: what `body` throws; also the loss itself after too many
    func surviving(_ logger: Logger, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch  where Self.isLoss(error) {
            var restarts = Restarts(losses: Self.earlier)
            guard let pause = restarts.pause(after: ContinuousClock.now - start) else {
                logger.warning("\(error); not started again after \(Restarts.most) times")
                throw error
            }
            logger.warning("\(error); \(restarts.announcement(pause))")
            Thread.sleep(forTimeInterval: pause / .seconds(1))
            // The new process must not inherit the old one's connections.
            let names =
                (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
            for descriptor in names.compactMap({ Int32($0) }) where descriptor > STDERR_FILENO {
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            }
            setenv(Self.variable, "\(restarts.losses)", 1)
            let arguments = CommandLine.arguments.map { strdup($0) } + [nil]
            execv("/proc/self/exe", arguments)
            throw error
        }
    }
}
