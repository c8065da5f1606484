import Engine
import Foundation
import Protocol
import TestSupport
import Testing

/// Who may join: invitations in, members out.
@Suite struct JoinBookTests {
    private let invitation: PublicKey
    private let machines: [PublicKey]

    init() throws {
        invitation = try KeyPair.new().publicKey
        machines = try (0..<3).map { _ in try KeyPair.new().publicKey }
    }

    private func book(uses: Int = 1) throws -> JoinBook {
        var book = JoinBook()
        try book.add(Invitation(key: invitation, made: 0, ends: 100, uses: uses), at: 0)
        return book
    }

    /// The reason for the refusal, if it was refused.
    private func reason(_ registration: JoinBook.Registration) -> String? {
        if case .refused(let reason) = registration { reason } else { nil }
    }

    private func join(
        _ book: inout JoinBook,
        _ machine: Int,
        name: String = "box",
        at now: Double = 1
    ) -> JoinBook.Registration {
        book.register(
            JoinRequest(key: machines[machine], name: name),
            by: invitation,
            from: "10.0.0.7",
            at: now
        )
    }

    @Test func anInvitationLetsInAsManyMachinesAsItSays() throws {
        var book = try book(uses: 2)
        #expect(book.invitedKeys == [invitation] && book.memberKeys.isEmpty)
        #expect(reason(join(&book, 0)) == nil && reason(join(&book, 1)) == nil)
        #expect(book.members.map(\.name) == ["box", "box-2"])
        #expect(book.memberKeys == Set(machines.prefix(2)))
        #expect(reason(join(&book, 2))?.contains("has been used by another 2 machines") == true)
        #expect(book.members.count == 2)
    }

    @Test func whoRepeatsItsRequestIsKnownEvenAfterTheEnd() throws {
        var book = try book()
        let first = join(&book, 0)
        guard case .joined(let member) = first else { return #expect(Bool(false), "\(first)") }
        let before = book
        #expect(join(&book, 0, name: "other", at: 5000) == .known(member))
        #expect(book == before)
        // Someone who has stolen the code has another key.
        #expect(reason(join(&book, 1, at: 50))?.contains("used by another machine") == true)
    }

    @Test func anInvitationEnds() throws {
        var book = try book()
        #expect(reason(join(&book, 0, at: 100))?.contains("ended 0 s ago") == true)
        #expect(reason(join(&book, 0, at: 7300))?.contains("ended 2 h ago") == true)
        #expect(book.members.isEmpty)
        // The holder of an ended invitation is told so for a week; then it is forgotten.
        let other = try KeyPair.new().publicKey
        try book.add(Invitation(key: other, made: 0, ends: 1e7, uses: 1), at: 6 * 86_400)
        #expect(book.invitedKeys == [invitation, other])
        try book.add(Invitation(key: machines[2], made: 0, ends: 1e7, uses: 1), at: 8 * 86_400)
        #expect(book.invitedKeys == [other, machines[2]])
        #expect(reason(join(&book, 0))?.contains("not known") == true)
    }

    @Test func aRemovedMachineCannotComeBackByItsInvitation() throws {
        var book = try book(uses: 3)
        _ = join(&book, 0)
        #expect(book.remove("other") == nil)
        #expect(book.remove("box")?.key == machines[0])
        #expect(book.memberKeys.isEmpty)
        for machine in 0..<2 {
            #expect(reason(join(&book, machine))?.contains("was withdrawn") == true)
        }
    }

    @Test func anotherVersionIsToldWhichSideToUpdate() throws {
        var book = try book()
        var request = JoinRequest(key: machines[0], name: "box")
        for (version, side) in [
            (oldestProtocolVersion - 1, "worker"), (protocolVersion + 1, "coordinator"),
        ] {
            request.version = version
            let answer = book.register(request, by: invitation, from: "", at: 1)
            #expect(reason(answer)?.hasSuffix("update Tessera on the \(side)'s machine") == true)
            #expect(reason(answer).map(VersionAdvice.isAdvice) == true)
        }
        #expect(book.members.isEmpty)
        // The invitation can still be used once, by this machine.
        #expect(reason(join(&book, 0)) == nil)
        #expect(reason(join(&book, 1)).map(VersionAdvice.isAdvice) == false)
    }

    @Test func namesAreHarmless() throws {
        var book = try book(uses: 3)
        for (machine, wish) in ["../ä b\u{1B}[31m;$(x)", "", "--flag"].enumerated() {
            _ = join(&book, machine, name: wish)
        }
        #expect(book.members.map(\.name) == ["b31mx", "machine", "flag"])
        for name in ["box", "box-2.studio", "_a", String(repeating: "x", count: 48)] {
            #expect(JoinBook.isName(name), "\(name)")
        }
        for name in ["", "ö", "a/b", "-a", ".a", "localhost", String(repeating: "x", count: 49)] {
            #expect(!JoinBook.isName(name), "\(name)")
        }
    }

    @Test func anInvitationsKeyIsNoMachines() throws {
        var book = try book(uses: 2)
        let request = JoinRequest(key: invitation, name: "box")
        let answer = book.register(request, by: invitation, from: "", at: 1)
        #expect(reason(answer)?.contains("that of an invitation") == true)
        #expect(book.members.isEmpty)
    }

    @Test func thereIsAnEndToInvitations() throws {
        var book = JoinBook()
        var count = 0
        let error = #expect(throws: InputError.self) {
            while count < 1000 {
                let key = try KeyPair.new().publicKey
                try book.add(Invitation(key: key, made: 0, ends: 100, uses: 1), at: 0)
                count += 1
            }
        }
        #expect(count == 256 && error?.problem.contains("256 invitations are open") == true)
        // Invitations that have ended make room.
        try book.add(Invitation(key: invitation, made: 200, ends: 300, uses: 1), at: 200)
        #expect(book.invitedKeys == [invitation])
    }

    @Test func theFileIsPrivateAndSurvives() throws {
        try inTemporaryFolder { folder in
            let place = JoinFolder(path: "\(folder)/a/b")
            #expect(try place.book() == JoinBook())
            #expect(!FileManager.default.fileExists(atPath: place.path))
            let book = try place.change { book in
                try book.add(Invitation(key: invitation, made: 0, ends: 100, uses: 1), at: 0)
                _ = join(&book, 0)
                return book
            }
            #expect(try place.book() == book)
            for (path, mode) in [(place.file, 0o600), (place.path, 0o700)] {
                let found = try FileManager.default.attributesOfItem(atPath: path)
                #expect(found[.posixPermissions] as? Int == mode)
            }
            // A change that throws has no effect.
            #expect(throws: InputError.self) {
                try place.change { book in
                    _ = book.remove("box")
                    throw InputError("", "", fix: "")
                }
            }
            #expect(try place.book() == book)
            try Data("{".utf8).write(to: URL(fileURLWithPath: place.file))
            #expect(throws: InputError.self) { try place.book() }
        }
    }
}
