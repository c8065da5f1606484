import Engine
import Foundation
import Glibc
import Protocol

/// What a coordinator tells other users of its host about itself: a small world-readable file. Its name contains the
/// endpoint, the user and the process; it is trusted only if that user owns it and listens there.
package struct EndpointNote: Codable, Equatable, Sendable {
    package var process: ProcessIdentity
    /// What it is doing, in a few words.
    package var work: String
    /// Its progress, as text.
    package var progress: String?
    /// Whether it runs until somebody stops it; nil in notes of earlier versions.
    package var isService: Bool?
    /// Whether it is a relay; nil if not.
    package var isRelay: Bool?

    package init(
        process: ProcessIdentity,
        work: String,
        progress: String? = nil,
        isService: Bool? = nil,
        isRelay: Bool? = nil
    ) {
        (self.process, self.work) = (process, work)
        (self.progress, self.isService, self.isRelay) = (progress, isService, isRelay)
    }

    private static let largest = 4096
    private static let folder = "/tmp"

    /// File name prefix of an endpoint's notes: contains its port, for any address, or its path.
    private static func prefix(_ endpoint: Endpoint, owner: uid_t) -> String {
        let place = endpoint.port.map { "\($0)" } ?? (endpoint.path ?? "").replacing("/", with: "_")
        return "tessera-\(place.suffix(120))-\(owner)-"
    }

    private func path(_ endpoint: Endpoint) -> String {
        "\(Self.folder)/\(Self.prefix(endpoint, owner: getuid()))\(process.id).json"
    }

    /// The notes of a user's running processes.
    static func all(at endpoint: Endpoint, owner: uid_t) -> [EndpointNote] {
        let start = prefix(endpoint, owner: owner)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasPrefix(start) }.sorted().prefix(64)
            .compactMap { read("\(folder)/\($0)", owner: owner) }.filter(\.process.isAlive)
    }

    /// Removes this user's notes of processes that were killed.
    static func sweep() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let own = "-\(getuid())-"
        for name in names where name.hasPrefix("tessera-") && name.contains(own) {
            if let process = writer(ofUnfinished: name, own), kill(process, 0) != 0, errno == ESRCH
            {
                unlink("\(folder)/\(name)")
                continue
            }
            guard let note = read("\(folder)/\(name)", owner: getuid()),
                name.hasSuffix("\(own)\(note.process.id).json"), !note.process.isAlive
            else { continue }
            unlink("\(folder)/\(name)")
        }
    }

    /// The process that was writing a note that has not been renamed to its final name.
    private static func writer(ofUnfinished name: String, _ own: String) -> pid_t? {
        guard let start = name.range(of: own, options: .backwards),
            let end = name.range(of: ".json.", options: .backwards),
            start.upperBound < end.lowerBound
        else { return nil }
        return pid_t(name[start.upperBound..<end.lowerBound])
    }

    private static func read(_ path: String, owner: uid_t) -> EndpointNote? {
        let file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_uid == owner, status.st_size <= largest
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: largest)
        let count = Glibc.read(file, &bytes, largest)
        guard count > 0,
            var note = try? JSONDecoder().decode(EndpointNote.self, from: Data(bytes[..<count]))
        else { return nil }
        note.work = printable(note.work, limit: 80)
        note.progress = note.progress.map { printable($0, limit: 80) }
        return note
    }

    /// The note is only informative: if it cannot be written, others are told less.
    func write(at endpoint: Endpoint) {
        guard let data = try? JSONEncoder().encode(self), data.count <= Self.largest,
            let file = try? TemporaryFile(for: path(endpoint))
        else { return }
        _ = fchmod(file.descriptor, 0o644)
        guard (try? file.write(Array(data))) != nil else { return }
        try? file.commit()
    }

    func remove(at endpoint: Endpoint) { unlink(path(endpoint)) }
}
