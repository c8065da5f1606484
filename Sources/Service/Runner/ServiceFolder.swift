import Engine
import Foundation
import Glibc

/// The service's data folder, with the database and a folder for each job. Only one process uses it at a time.
package final class ServiceFolder: Sendable {
    package let path: String
    private let lock: FileLock
    package let links: PictureLinks

    /// Creates the folder if it is missing, and locks it.
    ///
    /// - Throws: `InputError` if another service uses it or it cannot be opened, `OutputError` if it cannot be created
    package init(path: String) throws {
        self.path = URL(fileURLWithPath: path).standardizedFileURL.path
        for folder in [self.path, "\(self.path)/jobs"] { try Self.create(folder) }
        lock = try FileLock(
            folder: self.path,
            fix: "Choose another with --data",
            taken: InputError(
                "--data \(path)",
                "another tessera serve uses this folder",
                fix: "Stop it first, or choose another folder"
            )
        )
        links = try PictureLinks(secretFile: "\(self.path)/links.key")
    }

    /// Creates a private folder and its parent folders.
    ///
    /// - Throws: `OutputError`
    package static func create(_ folder: String) throws(OutputError) {
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw OutputError(folder, "the folder cannot be created: \(Self.reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        let cause =
            (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
        guard cause.domain == NSPOSIXErrorDomain else { return oneLine("\(error)", limit: 200) }
        return String(cString: strerror(Int32(cause.code))).lowercased()
    }

    package var database: String { "\(path)/\(Self.databaseName)" }
    /// File name of the database.
    package static let databaseName = "jobs.sqlite"
    /// Folder of pictures that clients have sent.
    package var inputs: String { "\(path)/inputs" }

    /// Folder of a job. Ids are generated here, never taken from a client.
    package func folder(of job: Job) -> String { "\(path)/jobs/\(job.id)" }

    /// Folder of the state to resume from.
    func state(of job: Job) -> String { "\(folder(of: job))/state" }

    /// Path of the finished picture.
    package func picture(of job: Job) -> String { "\(folder(of: job))/\(job.pictureName)" }

    /// Folder of pictures of phases.
    func phases(of job: Job) -> String { "\(folder(of: job))/phases" }

    /// Path of the picture of a finished phase; nil if there is none.
    ///
    /// - Parameters:
    ///   - number: number of the phase, from 1
    ///   - job: the job
    /// - Returns: path of the picture
    func phase(_ number: Int, of job: Job) -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: phases(of: job))) ?? []
        // A file that is still being written has another extension.
        return names.first { $0.hasPrefix("phase-\(number)-") && $0.hasSuffix(".png") }
            .map { "\(phases(of: job))/\($0)" }
    }

    /// Size of the finished picture in bytes; nil if there is none.
    func pictureBytes(of job: Job) -> Int? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: picture(of: job))
        return (attributes?[.size] as? NSNumber)?.intValue
    }

    func create(for job: Job) throws(OutputError) { try Self.create(folder(of: job)) }

    /// Removes all files of a job.
    package func remove(_ job: Job) { remove(id: job.id) }

    func remove(id: String) {
        try? FileManager.default.removeItem(atPath: "\(path)/jobs/\(id)")
    }

    /// Removes the files that are only needed to resume a job.
    func removeState(of job: Job) {
        try? FileManager.default.removeItem(atPath: state(of: job))
    }

    /// Removes folders of jobs that are not in the database, left by interrupted deletions.
    func removeStrays(known: Set<String>) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/jobs")) ?? []
        for name in names where !known.contains(name) { remove(id: name) }
    }

    /// Free bytes on its disk; nil if unknown.
    package var freeBytes: Int? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        return Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
    }
}
