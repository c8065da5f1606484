import Engine

/// Which peers a socket admits, and how it authenticates itself.
package enum Security: Sendable {
    /// Neither encrypted nor authenticated: for this machine only, or at the user's explicit request.
    case open
    /// For a coordinator: only workers with allowed keys can connect, and nobody else can eavesdrop.
    case coordinator(KeyPair, allowed: AllowedKeys)
    /// For a worker: it talks only to the coordinator with this key.
    case worker(KeyPair, coordinator: PublicKey)

    /// Whether traffic is encrypted.
    package var isEncrypted: Bool {
        if case .open = self { return false }
        return true
    }
}

/// Public keys of the workers that may connect.
package struct AllowedKeys: Sendable {
    /// Re-read when it changes, so that workers can be allowed and removed while the coordinator runs.
    package let file: String?
    /// Keys that the coordinator itself allows: those of the workers that it starts.
    package let own: Set<PublicKey>
    /// Machines that joined with an invitation, and the invitations; re-read when the file changes.
    package let joined: JoinFolder?
    /// Keys that are also admitted, temporarily.
    package let guests: GuestList?
    /// The keys in the file when it was first read, and the file's stamp just before that.
    let first: Set<PublicKey>
    let firstStamp: FileStamp?
    /// Invitations and members when the file was first read, and the file's stamp just before that.
    let firstBook: JoinBook
    let firstBookStamp: FileStamp?

    /// - Parameters:
    ///   - file: one key per line
    ///   - own: keys that are allowed without being in the file
    ///   - joined: the folder that lists machines which joined with an invitation
    /// - Throws: `InputError` naming the line that is not a key
    package init(
        file: String?,
        own: Set<PublicKey> = [],
        joined: JoinFolder? = nil
    ) throws(InputError) {
        self.file = file
        self.own = own
        self.joined = joined
        guests = nil
        firstStamp = file.flatMap { FileStamp(path: $0) }
        firstBookStamp = joined.flatMap { FileStamp(path: $0.file) }
        firstBook = try joined.map { folder throws(InputError) in try folder.book() } ?? JoinBook()
        first = try file.map { path throws(InputError) in try KeyFile.publicKeys(path) } ?? []
    }

    /// Allows only guests.
    package init(guests: GuestList) {
        (file, own, joined, self.guests) = (nil, [], nil, guests)
        (first, firstBook) = ([], JoinBook())
        (firstStamp, firstBookStamp) = (nil, nil)
    }
}

/// A security event of a socket. It contains no secrets.
package enum Rejection: Equatable, Sendable {
    /// The other side does not allow our key; for a coordinator, a worker's key was not allowed.
    case notAllowed(PublicKey?)
    /// One side encrypts and the other does not.
    case otherMechanism
    /// The other side hung up: it does not have the expected key, uses other encryption settings, or is not a ZeroMQ
    /// socket.
    case failed
    /// The list of keys can no longer be read; the last version stays in force.
    case listUnreadable(String)
}
