import Engine
import Foundation

/// Digests of the small safetensors files in some folders, computed once. Used by one thread.
final class DigestedFiles {
    /// Maximum file size in bytes: textual inversions are smaller.
    private static let maxSize = 64 << 20

    private let folders: [String]
    private lazy var digests: [(path: String, digest: String)] = {
        var digests: [(path: String, digest: String)] = []
        for folder in folders {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            for name in names.sorted() where name.hasSuffix(".safetensors") {
                let path = "\(folder)/\(name)"
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                guard let size = attributes?[.size] as? Int, size < Self.maxSize,
                    let digest = try? FileDigest.of(path, cache: nil)
                else { continue }
                digests.append((path, digest))
            }
        }
        return digests
    }()

    init(_ folders: [String]) { self.folders = folders }

    /// The first file whose digest begins with these digits.
    func file(_ start: HashStart) -> String? { digests.first { start.begins($0.digest) }?.path }
}
