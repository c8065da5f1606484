import Engine

/// Who a socket lets in, and what it shows for itself.
package enum Security: Sendable {
    /// Neither encrypted nor authenticated: for this machine alone, or where that was asked for.
    case open
    /// A coordinator's: only workers whose keys are allowed come in, and nobody else can listen.
    case coordinator(KeyPair, allowed: AllowedKeys)
    /// A worker's: it speaks to the coordinator that has this key and to no other.
    case worker(KeyPair, coordinator: PublicKey)

    /// Whether what is sent is encrypted.
    package var isEncrypted: Bool {
        if case .open = self { return false }
        return true
    }
}

/// Public keys of the workers that may come in.
package struct AllowedKeys: Sendable {
    /// Read again when it changes, so that workers can be allowed and turned out while the coordinator runs.
    package let file: String?
    /// Those allowed by the coordinator itself: of workers that it starts.
    package let own: Set<PublicKey>
    /// The file's, when it was first read.
    let first: Set<PublicKey>

    /// - Parameters:
    ///   - file: one key a line
    ///   - own: keys that need no line in it
    /// - Throws: `InputError` with the line that is no key
    package init(file: String?, own: Set<PublicKey> = []) throws(InputError) {
        self.file = file
        self.own = own
        first = try file.map { path throws(InputError) in try KeyFile.publicKeys(path) } ?? []
    }
}

/// What happened at the door of a socket. No secret is in it.
package enum Rejection: Equatable, Sendable {
    /// The other side does not allow our key; at a coordinator: a worker's was not allowed.
    case notAllowed(PublicKey?)
    /// One side encrypts and the other does not.
    case otherMechanism
    /// The other side hung up: it has not the key that it must have, does not encrypt alike, or is no socket
    /// of ZeroMQ.
    case failed
    /// The list of keys cannot be read any more; the last one holds.
    case listUnreadable(String)
}
