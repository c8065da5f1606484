import Engine
import Foundation
import Protocol

/// Models fetched from coordinators: a folder of files named by digest, and for each model a folder of hard links to
/// them. The least recently used models are removed when space is needed.
package struct ModelCache: Sendable {
    package let path: String
    /// Maximum total size of the files, in bytes.
    package let limit: Int

    /// 64 GiB.
    package static let defaultLimit = 64 << 30

    package init(path: String, limit: Int = defaultLimit) {
        (self.path, self.limit) = (path, limit)
    }

    private var files: String { "\(path)/files" }
    private var partial: String { "\(path)/partial" }
    private var models: String { "\(path)/models" }
    private static let catalogueName = ".catalogue"

    /// Path of a complete file.
    package func file(_ digest: ModelCatalogue.Digest) -> String { "\(files)/\(digest)" }
    /// Path of a partially fetched file.
    func partial(_ digest: ModelCatalogue.Digest) -> String { "\(partial)/\(digest)" }
    private func folder(_ model: String) -> String { "\(models)/\(model)" }

    /// Creates the folders if they do not exist.
    ///
    /// - Throws: `InputError` if they cannot be created or are not writable
    package func make() throws(InputError) {
        for folder in [files, partial, models] {
            do {
                try PrivateFolder.make(folder)
            } catch {
                throw InputError("--model-cache \(path)", error.problem, fix: error.remedy)
            }
            guard access(folder, W_OK | X_OK) == 0 else {
                throw InputError(
                    "--model-cache \(path)",
                    "the folder is not writable",
                    fix: "Make it writable, or choose another"
                )
            }
        }
    }

    /// Creates the folders, and waits until no other process fetches into them.
    ///
    /// - Returns: the lock; nil if cancelled
    /// - Throws: `InputError` if the folders cannot be created, `OutputError`
    func take(_ cancellation: Cancellation) throws -> FileLock? {
        try make()
        while !cancellation.isCancelled {
            let lock = try? FileLock(waitingFor: "\(path)/lock", atMost: .milliseconds(200))
            if let lock { return lock }
        }
        return nil
    }

    /// A model that is completely present, or nil. This counts as a use.
    package func model(_ digest: String) -> (path: String, options: ModelOptions)? {
        guard ModelCatalogue.Digest(hex: digest) != nil else { return nil }
        let folder = folder(digest)
        guard let catalogue = catalogue(digest),
            let options = try? catalogue.parts.options(in: folder)
        else { return nil }
        let isWhole = catalogue.files.allSatisfy { file in
            Self.size("\(folder)/\(file.name)") == file.size
        }
        guard isWhole else { return nil }
        utimes(folder, nil)
        return ("\(folder)/\(catalogue.parts.model)", options)
    }

    static func size(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Links a model's files, all of which must be present.
    ///
    /// - Throws: `OutputError`
    func assemble(_ digest: String, _ catalogue: ModelCatalogue) throws {
        let folder = folder(digest)
        let new = folder + ".new"
        try? FileManager.default.removeItem(atPath: new)
        try? FileManager.default.removeItem(atPath: folder)
        for file in catalogue.files {
            let place = "\(new)/\(file.name)"
            try FileManager.default.createDirectory(
                atPath: (place as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true
            )
            guard link(self.file(file.digest), place) == 0 else {
                throw OutputError(place, String(cString: strerror(errno)))
            }
        }
        let file = try TemporaryFile(for: "\(new)/\(Self.catalogueName)")
        try file.write(catalogue.bytes)
        try file.commit()
        guard rename(new, folder) == 0 else {
            throw OutputError(folder, String(cString: strerror(errno)))
        }
    }

    /// Removes a model whose content does not match its digest, with its files.
    func discard(_ digest: String) {
        if let catalogue = catalogue(digest) {
            for file in catalogue.files { unlink(self.file(file.digest)) }
        }
        try? FileManager.default.removeItem(atPath: folder(digest))
    }

    private func catalogue(_ digest: String) -> ModelCatalogue? {
        let path = "\(folder(digest))/\(Self.catalogueName)"
        return (try? InputFile.bytes(path, limit: ModelCatalogue.maxBytes))
            .flatMap { try? ModelCatalogue(bytes: $0) }
    }

    /// Makes room for a model: removes unused files and the least recently used models.
    ///
    /// - Throws: `InputError` if there is not enough space
    func makeRoom(for catalogue: ModelCatalogue) throws(InputError) {
        guard catalogue.size <= limit else {
            throw InputError(
                "--model-cache-size",
                "the coordinator's model has \(Self.text(catalogue.size)), more than the \(Self.text(limit)) of the cache",
                fix: "Allow more, or copy the model to this machine"
            )
        }
        let wanted = Set(catalogue.files.map(\.digest.description))
        var old = (try? FileManager.default.contentsOfDirectory(atPath: models)) ?? []
        old.sort { Self.used("\(models)/\($0)") < Self.used("\(models)/\($1)") }
        removeUnlinked(but: wanted)
        while taken(but: wanted) + catalogue.size > limit, !old.isEmpty {
            try? FileManager.default.removeItem(atPath: "\(models)/\(old.removeFirst())")
            removeUnlinked(but: wanted)
        }
        let missing = catalogue.files.reduce(0) { sum, file in
            sum + file.size
                - (Self.size(self.file(file.digest)) ?? Self.size(partial(file.digest)) ?? 0)
        }
        var disk = statvfs()
        guard statvfs(path, &disk) == 0 else { return }
        let free = Int(disk.f_bavail) * Int(disk.f_frsize)
        guard missing < free else {
            throw InputError(
                path,
                "the disk has \(Self.text(free)) free, and \(Self.text(missing)) of the model are missing",
                fix: "Free some disk space, or choose another --model-cache"
            )
        }
    }

    private static func used(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mtim.tv_sec : 0
    }

    /// Bytes of cached files, not counting those of the wanted model.
    private func taken(but wanted: Set<String>) -> Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: files)) ?? []
        return names.filter { !wanted.contains($0) }
            .reduce(0) { $0 + (Self.size("\(files)/\($1)") ?? 0) }
    }

    /// Removes files that belong to no model, and partial ones.
    private func removeUnlinked(but wanted: Set<String>) {
        for folder in [files, partial] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            for name in names where !wanted.contains(name) {
                var status = stat()
                guard stat("\(folder)/\(name)", &status) == 0, status.st_nlink < 2 else { continue }
                unlink("\(folder)/\(name)")
            }
        }
    }

    /// Formats a number of bytes.
    package static func text(_ bytes: Int) -> String {
        bytes < 1_000_000_000
            ? String(format: "%.1f MB", Double(bytes) / 1e6)
            : String(format: "%.1f GB", Double(bytes) / 1e9)
    }
}
