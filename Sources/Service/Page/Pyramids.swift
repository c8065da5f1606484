import Engine
import Foundation
import Logging
import Synchronization

/// Cuts finished pictures into tiles, each once: when its job ends or when it is first viewed. Large pictures are cut
/// one at a time, and small ones do not wait for them.
final class Pyramids: Sendable {
    private let folder: ServiceFolder
    private let logger: Logger
    private let small = DispatchQueue(label: "service.tiles", qos: .utility)
    // Not the lowest priority: next to workers that keep every core busy, a large picture would take an hour.
    private let large = DispatchQueue(label: "service.large-tiles", qos: .utility)
    /// Jobs whose pictures are being cut or waiting for it, by id, with the fraction done.
    private let pending = Mutex<[String: Double]>([:])

    /// Maximum pixels of a picture for which a request waits until it is cut.
    private static let maxAwaited = 1 << 24
    /// Maximum number of pictures that are pending at a time.
    private static let maxPending = 256
    private static let name = "tiles"

    init(folder: ServiceFolder, logger: Logger) { (self.folder, self.logger) = (folder, logger) }

    private func tiles(of job: Job) -> String { "\(folder.folder(of: job))/\(Self.name)" }

    func isReady(_ job: Job) -> Bool { FileKind(tiles(of: job)) == .folder }

    /// Cuts a picture unless that is already done; a large one is cut in the background.
    ///
    /// - Returns: whether the tiles are ready
    /// - Throws: `LimitExceeded` if too many pictures are pending, `InputError` if the picture cannot be read,
    ///   `OutputError`
    func prepare(_ job: Job) async throws -> Bool {
        if isReady(job) { return true }
        if job.width * job.height <= Self.maxAwaited {
            try count(job)
            defer { forget(job) }
            try await Blocking.run(on: small) { [self] in try make(job) }
            return true
        }
        guard begins(job) else { return false }
        large.async { [self] in
            defer { forget(job) }
            do {
                try make(job)
            } catch {
                logger.error("the tiles of job \(job.id) cannot be made: \(error)")
            }
        }
        return false
    }

    private func count(_ job: Job) throws(LimitExceeded) {
        let found = pending.withLock { pending in
            pending[job.id] = pending[job.id] ?? 0
            return pending.count
        }
        guard found <= Self.maxPending else {
            forget(job)
            throw LimitExceeded("tiles", limit: Self.maxPending, found: found, .later)
        }
    }

    private func begins(_ job: Job) -> Bool {
        pending.withLock { pending in
            guard pending.count < Self.maxPending, pending[job.id] == nil else { return false }
            pending[job.id] = 0
            return true
        }
    }

    private func forget(_ job: Job) { pending.withLock { $0[job.id] = nil } }

    /// Fraction of a picture's tiles that is done, 0…1.
    func share(of job: Job) -> Double {
        isReady(job) ? 1 : pending.withLock { $0[job.id] ?? 0 }
    }

    /// The file of a tile.
    ///
    /// - Returns: nil if the picture has no such tile
    func file(of job: Job, level: Int, row: Int, column: Int) -> String? {
        let plan = PyramidPlan(width: job.width, height: job.height)
        guard plan.has(level: level, row: row, column: column) else { return nil }
        return "\(tiles(of: job))/\(PyramidPlan.name(level: level, row: row, column: column))"
    }

    /// Creates the tiles in a temporary folder, and renames it when they are complete.
    private func make(_ job: Job) throws {
        guard !isReady(job) else { return }
        let picture = try PictureFile(folder.picture(of: job))
        let plan = PyramidPlan(width: picture.width, height: picture.height)
        let temporary = "\(tiles(of: job)).new"
        // Left by a process that was killed.
        try? FileManager.default.removeItem(atPath: temporary)
        do {
            // Do not create the parent folder again: the job may have been deleted.
            guard mkdir(temporary, 0o700) == 0 else {
                throw OutputError(temporary, String(cString: strerror(errno)))
            }
            let writer = try PyramidWriter(plan, folder: temporary)
            let cut = { (share: Double) in self.pending.withLock { $0[job.id] = share } }
            try picture.rows(observe: cut) { samples in
                try writer.add(samples.map { UInt8($0 * 255 + 0.5) })
            }
            guard rename(temporary, tiles(of: job)) == 0 else {
                throw OutputError(temporary, String(cString: strerror(errno)))
            }
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
    }
}
