import Engine

/// Whom a socket admits, and how it authenticates itself.
package enum Security: Sendable {
    /// Neither encrypted nor authenticated: for this machine only, or at the user's explicit request.
    case open
    /// A coordinator's: only workers with allowed keys can connect, and nobody else can eavesdrop.
    case coordinator(KeyPair, allowed: AllowedKeys)
    /// A worker's: it talks to the coordinator with this key and to no other.
    case worker(KeyPair, coordinator: PublicKey)

    /// Whether what is sent is encrypted.
    package var isEncrypted: Bool {
        if case .open = self { return false }
        return true
    }
}

/// Public keys of the workers that may connect.
package struct AllowedKeys: Sendable {
    /// Re-read when it changes, so that workers can be allowed and removed while the coordinator runs.
    package let file: String?
    /// Keys allowed by the coordinator itself: of workers that it starts.
    package let own: Set<PublicKey>
    /// Machines that joined by invitation, and invitations: read again when they change.
    package let joined: JoinFolder?
    /// Keys that are admitted for now, besides.
    package let guests: GuestList?
    /// The file's keys, when it was first read, and its stamp before that.
    let first: Set<PublicKey>
    let firstStamp: FileStamp?
    /// Invitations and members, when they were first read, and the file's stamp before that.
    let firstBook: JoinBook
    let firstBookStamp: FileStamp?

    /// - Parameters:
    ///   - file: one key per line
    ///   - own: keys that need not be in it
    ///   - joined: where machines that joined by invitation are listed
    /// - Throws: `InputError` with the line that is not a key
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

    /// Nobody but guests.
    package init(guests: GuestList) {
        (file, own, joined, self.guests) = (nil, [], nil, guests)
        (first, firstBook) = ([], JoinBook())
        (firstStamp, firstBookStamp) = (nil, nil)
    }
}

/// A security event of a socket. It contains no secrets.
package enum Rejection: Equatable, Sendable {
    /// The other side does not allow our key; at a coordinator: a worker's key was not allowed.
    case notAllowed(PublicKey?)
    /// One side encrypts and the other does not.
    case otherMechanism
    /// The other side hung up: it does not have the expected key, uses other encryption settings, or is not a ZeroMQ
    /// socket.
    case failed
    /// The list of keys can no longer be read; the last one stays in force.
    case listUnreadable(String)
}
