import Engine
import Foundation
import Protocol

/// Records of sites, kept across renders in a private file of this user. If it cannot be read, every site is new; if it
/// cannot be written, what this render found is lost.
package final class SiteBook: Sendable {
    private let path: String
    /// Maximum number of sites that are kept: those checked last.
    private static let capacity = 4096
    /// Maximum size in bytes: a larger file is not one of ours.
    private static let maxBytes = 4 << 20

    /// - Parameter path: path of the file, in a folder that may have to be created
    package init(path: String) { self.path = path }

    /// `$XDG_STATE_HOME/tessera/verify/sites.json`; nil for a user without a home directory.
    package convenience init?() {
        guard let folder = UserFolder.state.named("verify") else { return nil }
        self.init(path: "\(folder)/sites.json")
    }

    package func records() -> [HostID: SiteRecord] {
        var status = stat()
        guard stat(path, &status) == 0, status.st_size <= Self.maxBytes,
            let data = FileManager.default.contents(atPath: path),
            let known = try? JSONDecoder().decode([String: SiteRecord].self, from: data)
        else { return [:] }
        return Dictionary(uniqueKeysWithValues: known.map { (HostID($0.key), $0.value) })
    }

    /// Writes records to the file, merged with those of sites that another render has checked in the meantime.
    package func save(_ records: [HostID: SiteRecord]) {
        guard !records.isEmpty else { return }
        let folder = (path as NSString).deletingLastPathComponent
        try? FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        // Without the lock, one of two renders that end together would lose its records.
        guard let lock = try? FileLock(waitingFor: "\(path).lock", atMost: .seconds(5)) else {
            return
        }
        defer { withExtendedLifetime(lock) {} }
        var all = self.records()
        // Compare counts, which only grow: clocks may be set back.
        for (site, record) in records
        where record.checked > 0 && record.checked >= all[site]?.checked ?? 0 {
            all[site] = record
        }
        let kept = all.sorted {
            ($0.value.lastChecked, $0.key.text) > ($1.value.lastChecked, $1.key.text)
        }.prefix(Self.capacity)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        let named = Dictionary(uniqueKeysWithValues: kept.map { ($0.key.text, $0.value) })
        guard let data = try? encoder.encode(named) else { return }
        let new = "\(path).\(getpid())"
        let isWritten = FileManager.default.createFile(
            atPath: new,
            contents: data,
            attributes: [.posixPermissions: 0o600]
        )
        guard isWritten, rename(new, path) == 0 else {
            unlink(new)
            return
        }
    }
}
