import CZeroMQ
import Engine
import Glibc

/// The ZAP handler, which ZeroMQ asks whether a key is admitted (ZeroMQ RFC 27). It lives on the thread of the socket
/// that it guards.
final class Gate {
    let raw: UnsafeMutableRawPointer
    // Retains the context until the socket is closed, because destroying the context would wait for that.
    private let context: SocketContext
    private let allowed: AllowedKeys
    private var listed: Set<PublicKey>
    private var stamp: FileStamp?
    /// Keys of machines that joined with an invitation, and of invitations.
    private var members: Set<PublicKey>
    private var invited: Set<PublicKey>
    private var bookStamp: FileStamp?
    private(set) var rejections: [Rejection] = []

    /// Maximum number of rejections stored until they are fetched.
    private static let memory = 64

    init(_ allowed: AllowedKeys, in context: SocketContext) throws(SocketError) {
        guard let raw = zmq_socket(context.raw, ZMQ_REP) else { throw .last("zmq_socket") }
        self.raw = raw
        self.context = context
        self.allowed = allowed
        listed = allowed.first
        stamp = allowed.firstStamp
        (members, invited) = (allowed.firstBook.memberKeys, allowed.firstBook.invitedKeys)
        bookStamp = allowed.firstBookStamp
        guard zmq_bind(raw, "inproc://zeromq.zap.01") == 0 else {
            let error = SocketError.last("zmq_bind(zap)")
            zmq_close(raw)
            throw error
        }
    }

    deinit { zmq_close(raw) }

    /// Answers pending requests; never waits.
    func answer() throws(SocketError) {
        while let request = try MultipartMessage.receive(raw, maxFrames: 16) {
            let reply = Self.reply(to: request, isAllowed: check)
            try MultipartMessage.send(reply, raw)
        }
    }

    func takeRejections() -> [Rejection] {
        defer { rejections = [] }
        return rejections
    }

    /// The reply to a request: version, id, domain, address, identity, mechanism, credentials.
    static func reply(to request: [[UInt8]], isAllowed: (PublicKey?) -> Bool) -> [[UInt8]] {
        let version = Array("1.0".utf8)
        let id = request.count > 1 ? request[1] : []
        let isSound =
            request.count == 7 && request[0] == version && request[5] == Array("CURVE".utf8)
        let key = isSound ? PublicKey(bytes: request[6]) : nil
        let status = isAllowed(key) ? "200" : "400"
        return [version, id, Array(status.utf8), [], Array((key?.text ?? "").utf8), []]
    }

    /// The keys that are admitted and may stay connected.
    func current() -> Set<PublicKey> {
        readAgain()
        return listed.union(allowed.own).union(members)
    }

    /// Whether a key is admitted and may stay connected.
    func allows(_ key: PublicKey) -> Bool {
        readAgain()
        return isListed(key)
    }

    /// Whether a key belongs to an invitation: it may connect and ask to join.
    func invites(_ key: PublicKey) -> Bool {
        readAgain()
        return invited.contains(key)
    }

    private func isListed(_ key: PublicKey) -> Bool {
        allowed.own.contains(key) || listed.contains(key) || members.contains(key)
            || allowed.guests?.contains(key) == true
    }

    private func check(_ key: PublicKey?) -> Bool {
        readAgain()
        if let key, isListed(key) || invited.contains(key) { return true }
        note(.notAllowed(key))
        return false
    }

    private func readAgain() {
        readListAgain()
        readBookAgain()
    }

    private func readBookAgain() {
        guard let joined = allowed.joined else { return }
        let now = FileStamp(path: joined.file)
        guard now != bookStamp else { return }
        bookStamp = now
        do throws(InputError) {
            let book = try joined.book()
            (members, invited) = (book.memberKeys, book.invitedKeys)
        } catch {
            note(.listUnreadable("\(error)"))
        }
    }

    private func readListAgain() {
        guard let file = allowed.file else { return }
        let now = FileStamp(path: file)
        guard now != stamp else { return }
        stamp = now
        do throws(InputError) {
            listed = try KeyFile.publicKeys(file)
        } catch {
            note(.listUnreadable("\(error)"))
        }
    }

    private func note(_ rejection: Rejection) {
        if rejections.count < Self.memory { rejections.append(rejection) }
    }
}
