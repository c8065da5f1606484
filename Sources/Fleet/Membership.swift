import Engine
import Foundation
import Protocol

/// What this machine stores about a cluster that it has joined: its own key and the coordinator's. In
/// `$XDG_CONFIG_HOME/tessera/joined`, with a folder for each coordinator.
package struct Membership: Sendable {
    /// Path of the coordinator's folder.
    package let path: String
    package let coordinator: PublicKey

    /// - Parameter coordinator: the coordinator's public key
    /// - Throws: `InputError` if the user has no home folder
    package init(of coordinator: PublicKey) throws(InputError) {
        guard let folder = UserFolder.config.named("joined") else {
            throw InputError(
                "$HOME",
                "it is not set, and this machine's key is kept below it",
                fix: "Set XDG_CONFIG_HOME"
            )
        }
        self.coordinator = coordinator
        path = "\(folder)/\(coordinator.fingerprint)"
    }

    /// Where the coordinator is, and this machine's name there.
    package struct Place: Codable, Equatable, Sendable {
        package var endpoint: String
        package var name: String
        /// HOST:PORT of the SOCKS proxy through which it is reached.
        package var proxy: String?
        /// Path of the cluster file of the site that it serves as a relay; nil for a worker.
        package var relay: String?

        package init(endpoint: String, name: String, proxy: String? = nil) {
            (self.endpoint, self.name, self.proxy) = (endpoint, name, proxy)
        }
    }

    private static let placeName = "place.json"
    private var placeFile: String { "\(path)/\(Self.placeName)" }

    /// Whether this machine joined a cluster by invitation with this secret key.
    package static func holds(key: String) -> Bool {
        let folder = URL(fileURLWithPath: key).deletingLastPathComponent()
        return FileManager.default.fileExists(atPath: folder.appendingPathComponent(placeName).path)
    }

    /// The coordinator's location; nil before this machine has joined.
    ///
    /// - Throws: `InputError` if the file is damaged
    func place() throws(InputError) -> Place? {
        guard FileManager.default.fileExists(atPath: placeFile) else { return nil }
        let bytes = try InputFile.bytes(placeFile, limit: 1 << 16)
        guard let place = try? JSONDecoder().decode(Place.self, from: Data(bytes)) else {
            throw InputError(placeFile, "it is damaged", fix: "Join again with a new invitation")
        }
        return place
    }

    /// Records that this machine has joined.
    package func save(_ place: Place) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let file = try TemporaryFile(for: placeFile)
        try file.write(Array(try encoder.encode(place)))
        try file.commit()
    }

    /// The clusters that this machine has joined, and where their coordinators are.
    ///
    /// - Throws: `InputError` if a file is damaged
    private static func all() throws(InputError) -> [(Membership, Place)] {
        guard let folder = UserFolder.config.named("joined") else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        var found: [(Membership, Place)] = []
        for name in names.sorted() {
            guard let key = try? KeyFile.publicKey("\(folder)/\(name)/coordinator.pub") else {
                continue
            }
            let membership = try Membership(of: key)
            if let place = try membership.place() { found.append((membership, place)) }
        }
        return found
    }

    /// The cluster that `tessera join` or `tessera relay` reconnects to if there is no invitation.
    ///
    /// - Parameters:
    ///   - address: HOST:PORT of its coordinator, to choose one of several; nil if there is only one
    ///   - relay: path of a relay's cluster file, for which clusters that it has relayed before take precedence; nil
    ///     for a worker
    /// - Returns: the membership, and the coordinator's location
    /// - Throws: `InputError` unless exactly one matches
    package static func only(_ address: String?, relay: String?) throws(InputError) -> (
        Membership, Place
    ) {
        let all = try all().filter { address == nil || $0.1.endpoint == "tcp://\(address ?? "")" }
        let alike = all.filter { $0.1.relay == relay }
        let found = relay != nil && alike.isEmpty ? all : alike
        if found.isEmpty, let (_, place) = all.first, let file = place.relay {
            throw InputError(
                "the invitation",
                "this machine has joined \(place.endpoint.dropFirst("tcp://".count)) as a relay",
                fix:
                    "Run tessera relay --cluster \(ShellWords.join([file])), or join with an invitation to be a worker"
            )
        }
        guard found.count == 1, let only = found.first else {
            let addresses = found.map { "tessera://" + $0.1.endpoint.dropFirst("tcp://".count) }
            throw InputError(
                "the invitation",
                found.isEmpty
                    ? "this machine has not joined \(address ?? "a cluster")"
                    : "none is given, and this machine has joined several clusters",
                fix: found.isEmpty
                    ? "Give the whole invitation: the line that tessera cluster invite prints"
                    : "Give in its place one of \(addresses.joined(separator: ", "))"
            )
        }
        return only
    }

    /// This machine's secret key, and the coordinator's public one.
    package var keys: (secret: String, coordinator: String) {
        ("\(path)/worker", "\(path)/coordinator.pub")
    }

    /// This machine's public key, generated if there is none. A machine that joins again keeps its key.
    ///
    /// - Throws: `InputError` if the key cannot be read or written
    package func ownKey() throws -> PublicKey {
        try PrivateFolder.make(path)
        try KeyFile.savePublic(coordinator, to: keys.coordinator)
        return try KeyFile.pairOrNew(keys.secret).publicKey
    }
}
