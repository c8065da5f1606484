import Foundation

extension Model {
    /// Rejects NaN and infinities in the weights that a render reads, before its first step. The process that
    /// prepares the weights finds them too, but perhaps hours later, on another machine.
    ///
    /// The first scan of large files reads all of them. It records under their identity that they are finite,
    /// so later scans cost nothing.
    ///
    /// - Parameters:
    ///   - used: the result of `check`
    ///   - folder: the folder of the records; nil keeps none
    ///   - smallest: minimum size in bytes for which a record is kept
    ///   - settling: seconds for which a file must have been unchanged
    /// - Returns: how many weights were read
    /// - Throws: `InputError` naming the file and the tensor
    @discardableResult
    package func scan(
        _ used: UsedWeights,
        notes folder: String? = UserFolder.cache.named("sound"),
        smallest: Int = 64 << 20,
        settling: Int = 2
    ) throws -> Int {
        var count = 0
        if let refiner {
            let isEncoding = used.contains { family.textEncoders.contains($0.component) }
            count += try refiner.scan(
                refiner.checkAsRefiner(
                    texts: isEncoding,
                    latentChannels: try vaeConfig().latentChannels
                ),
                notes: folder,
                smallest: smallest,
                settling: settling
            )
        }
        for (component, names) in used {
            let before = try files(component).compactMap(FileIdentity.init(of:))
            let key = FileHash()
            for text in [component.rawValue] + before.map(\.text) + names { key.add(text: text) }
            let entry = folder.map { "\($0)/\(key.finish())" }
            if let entry, access(entry, F_OK) == 0 { continue }
            let table = try table(component)
            for name in names { try table.refuseFlaw(in: name) }
            count += names.count
            guard let folder, let entry, before.reduce(0, { $0 + $1.size }) >= smallest,
                try files(component).compactMap(FileIdentity.init(of:)) == before,
                before.allSatisfy({ $0.isSettled(for: settling) })
            else { continue }
            // If the cache is read-only or full, the next start scans again.
            try? FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            _ = FileManager.default.createFile(atPath: entry, contents: Data())
        }
        return count
    }
}
