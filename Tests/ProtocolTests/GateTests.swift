import Engine
import Foundation
import Protocol
import TestSupport
import Testing

/// Which peers are admitted with CURVE, over real sockets.
@Suite struct GateTests {
    private let coordinator: KeyPair
    private let worker: KeyPair

    init() throws {
        coordinator = try KeyPair.new()
        worker = try KeyPair.new()
    }

    private var guarded: Security {
        get throws {
            .coordinator(coordinator, allowed: try AllowedKeys(file: nil, own: [worker.publicKey]))
        }
    }

    /// The outcome of a call.
    private enum Outcome: Equatable {
        case delivered
        case turnedAway(Rejection)
        case nothing
    }

    /// Calls a coordinator and waits for a message to arrive, or for a rejection.
    private func call(_ worker: Security, _ coordinator: Security) throws -> Outcome {
        let router = try Socket(.router, in: SocketContext(), security: coordinator)
        let endpoint = try router.bind(Endpoint("tcp://127.0.0.1:0"))
        return try call(worker, router, endpoint)
    }

    private func call(
        _ worker: Security,
        _ router: borrowing Socket,
        _ endpoint: Endpoint
    ) throws -> Outcome {
        let dealer = try Socket(.dealer, in: SocketContext(), security: worker)
        try dealer.connect(endpoint)
        #expect(try dealer.send([[42]]) == .sent)
        let wakeup = try Wakeup()
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            try router.wait(wakeup, for: .milliseconds(20))
            if case .message(let frames) = try router.receive() {
                #expect(frames.dropFirst() == [[42]])
                return .delivered
            }
            if let rejection = try dealer.rejections().first { return .turnedAway(rejection) }
        }
        return .nothing
    }

    @Test func theRightKeysAreAccepted() throws {
        let security = Security.worker(worker, coordinator: coordinator.publicKey)
        #expect(try call(security, guarded) == .delivered)
        #expect(try call(.open, .open) == .delivered)
    }

    @Test func otherKeysAreRejected() throws {
        let stranger = try KeyPair.new()
        let open = coordinator.publicKey
        #expect(
            try call(.worker(stranger, coordinator: open), guarded)
                == .turnedAway(.notAllowed(nil))
        )
        // The side that first sees the mismatch hangs up, so what the other side sees depends on timing.
        let different = [Outcome.turnedAway(.otherMechanism), .turnedAway(.failed)]
        let plain = try call(.open, guarded)
        #expect(different.contains(plain), "\(plain)")
        let toPlain = try call(.worker(worker, coordinator: open), .open)
        #expect(different.contains(toPlain), "\(toPlain)")
        #expect(
            try call(.worker(worker, coordinator: stranger.publicKey), guarded)
                == .turnedAway(.failed)
        )
    }

    @Test func theCoordinatorKnowsWhomItTurnedAway() throws {
        let stranger = try KeyPair.new()
        let router = try Socket(.router, in: SocketContext(), security: guarded)
        let endpoint = try router.bind(Endpoint("tcp://127.0.0.1:0"))
        let security = Security.worker(stranger, coordinator: coordinator.publicKey)
        #expect(try call(security, router, endpoint) == .turnedAway(.notAllowed(nil)))
        #expect(try router.rejections().contains(.notAllowed(stranger.publicKey)))
    }

    @Test func theListIsReadAgainWhenItChanges() throws {
        try inTemporaryFolder { folder in
            let list = URL(fileURLWithPath: "\(folder)/list")
            try Data().write(to: list)
            let router = try Socket(
                .router,
                in: SocketContext(),
                security: .coordinator(coordinator, allowed: try AllowedKeys(file: list.path))
            )
            let endpoint = try router.bind(Endpoint("tcp://127.0.0.1:0"))
            let security = Security.worker(worker, coordinator: coordinator.publicKey)
            #expect(try call(security, router, endpoint) == .turnedAway(.notAllowed(nil)))
            try Data("\(worker.publicKey) late\n".utf8).write(to: list)
            #expect(try call(security, router, endpoint) == .delivered)
            // A mistake in the list is reported, and locks nobody out.
            try Data("what?\n".utf8).write(to: list)
            #expect(try call(security, router, endpoint) == .delivered)
            let rejections = try router.rejections()
            #expect(
                rejections.contains {
                    if case .listUnreadable = $0 { true } else { false }
                }
            )
        }
    }

    /// A connection outlives its key's line in the list, until this side hangs up.
    @Test func whoIsTakenOffTheListIsKnownAndCanBeTurnedOut() throws {
        try inTemporaryFolder { folder in
            let list = URL(fileURLWithPath: "\(folder)/list")
            try Data("\(worker.publicKey) one\n".utf8).write(to: list)
            let own = try KeyPair.new().publicKey
            let router = try Socket(
                .router,
                in: SocketContext(),
                security: .coordinator(
                    coordinator,
                    allowed: try AllowedKeys(file: list.path, own: [own])
                )
            )
            let endpoint = try router.bind(Endpoint("tcp://127.0.0.1:0"))
            let dealer = try Socket(
                .dealer,
                in: SocketContext(),
                security: .worker(worker, coordinator: coordinator.publicKey)
            )
            try dealer.connect(endpoint)
            let wakeup = try Wakeup()
            func next() throws -> Origin? {
                #expect(try dealer.send([[42]]) == .sent)
                let deadline = ContinuousClock.now + .seconds(20)
                while ContinuousClock.now < deadline {
                    try router.wait(wakeup, for: .milliseconds(20))
                    let (arrival, origin) = try router.receive { _ in false }
                    if case .message = arrival { return origin }
                }
                return nil
            }
            let origin = try #require(try next())
            #expect(origin.key == worker.publicKey && origin.address == "127.0.0.1")
            #expect(router.allowedKeys() == [worker.publicKey, own])
            try Data("# nobody\n".utf8).write(to: list)
            #expect(router.allowedKeys() == [own])
            // The connection itself goes on…
            #expect(try next() == origin)
            // …until it is ended; the next one is refused.
            router.disconnect(try #require(origin.connection))
            let deadline = ContinuousClock.now + .seconds(20)
            var told: [Rejection] = []
            while told.isEmpty, ContinuousClock.now < deadline {
                try router.wait(wakeup, for: .milliseconds(20))
                told = try dealer.rejections()
            }
            #expect(told == [.notAllowed(nil)])
        }
    }

    /// An invitation that is made after the list was read, but before the socket is made, counts.
    @Test func whatChangesBeforeTheSocketIsMadeIsNoticed() throws {
        try inTemporaryFolder { folder in
            let (coordinator, pair) = (try KeyPair.new(), try KeyPair.new())
            let joined = JoinFolder(path: folder)
            let allowed = try AllowedKeys(file: nil, joined: joined)
            try joined.change { book in
                let invitation = Invitation(key: pair.publicKey, made: 0, ends: 1e12, uses: 1)
                try book.add(invitation, at: 0)
            }
            let socket = try Socket(
                .router,
                in: SocketContext(),
                security: .coordinator(coordinator, allowed: allowed)
            )
            let isInvited = socket.invites(pair.publicKey)
            #expect(isInvited)
        }
    }
}
