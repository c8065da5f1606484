import Coordinator
import Foundation
import Protocol
import Testing

@Suite struct NeighbourhoodTests {
    private func addresses(_ texts: String...) throws -> [LANAddress] {
        try texts.map { try #require(LANAddress($0)) }
    }

    private func share(_ texts: String...) throws -> ModelShare {
        let addresses = try texts.map { try #require(LANAddress($0)) }
        return ModelShare(key: try KeyPair.new().publicKey, port: 7552, addresses: addresses)
    }

    @Test func addressesAreThoseOfOneSegment() throws {
        for wrong in [
            "", "10.0.0.7", "10.0.0.7/8", "10.0.0.7/31", "10.0.0.7/ 24", "10.0.0.7/24/24",
            "127.0.0.1/24", "224.0.0.1/24", "0.0.0.0/24", "10.0.0/24", "fd00::1/64", "a.b/24",
            "10.0.0.7/024", "10.0.0.7/+24",
        ] { #expect(LANAddress(wrong) == nil, "\(wrong)") }
        let one = try #require(LANAddress("192.168.1.7/24"))
        #expect(one.host == "192.168.1.7" && one.description == "192.168.1.7/24")
        for (other, isNear) in [
            ("192.168.1.8/24", true), ("192.168.2.8/24", false), ("192.168.1.7/24", false),
            ("192.168.1.8/16", false), ("193.168.1.8/24", false),
        ] { #expect(one.reaches(try #require(LANAddress(other))) == isNear, "\(other)") }
    }

    /// Many networks use 192.168.1.0/24.
    @Test func neighboursAreOnOneNetworkAndNotOnlyOnOneWithTheSameNumbers() throws {
        let share = try share("10.9.0.1/24", "192.168.1.8/24")
        func find(_ guest: String, from origin: String, workerFrom: String) throws -> String? {
            var neighbourhood = Neighbourhood()
            let key = try KeyPair.new().publicKey
            neighbourhood.note(key, try addresses(guest), from: origin, at: .zero)
            let found = neighbourhood.neighbour(share, at: workerFrom, for: key)
            #expect(neighbourhood.guests(of: share, at: workerFrom) == (found == nil ? [] : [key]))
            #expect(found.map { $0.key == share.key && $0.port == 7552 } ?? true)
            return found?.address.host
        }
        let (own, router) = ("192.168.1.7/24", "203.0.113.5")
        // Behind one router, or seen by their own addresses.
        #expect(try find(own, from: router, workerFrom: router) == "192.168.1.8")
        #expect(try find(own, from: "192.168.1.7", workerFrom: "192.168.1.8") == "192.168.1.8")
        // Behind two routers, or one of them somewhere else.
        #expect(try find(own, from: router, workerFrom: "203.0.113.6") == nil)
        #expect(try find(own, from: "192.168.1.7", workerFrom: router) == nil)
        #expect(try find(own, from: "192.168.1.9", workerFrom: "192.168.1.8") == nil)
        #expect(try find("192.168.2.7/24", from: router, workerFrom: router) == nil)
        // The same host, and processes of the coordinator's own.
        #expect(try find("192.168.1.8/24", from: router, workerFrom: router) == nil)
        #expect(try find(own, from: "", workerFrom: "") == nil)
    }

    @Test func whoIsRemovedOrLongThereIsNoGuest() throws {
        var neighbourhood = Neighbourhood()
        let share = try share("10.0.0.1/24")
        let keys = try (0..<70).map { _ in try KeyPair.new().publicKey }
        for (number, key) in keys.enumerated() {
            let address = try addresses("10.0.0.\(number + 2)/24")
            neighbourhood.note(key, address, from: "x", at: .seconds(number))
        }
        // No more than a worker can be told about.
        #expect(neighbourhood.guests(of: share, at: "x").count == GuestList.maxCount)
        let allowed = Set(keys)
        func update(_ allowed: Set<PublicKey>, _ now: Int) -> Bool {
            neighbourhood.update(allowed: allowed, at: .seconds(now))
        }
        var changes = [update(allowed, 100), update(allowed.subtracting([keys[3]]), 100)]
        #expect(!neighbourhood.guests(of: share, at: "x").contains(keys[3]))
        changes.append(update(allowed, 3600))
        #expect(changes == [false, true, true])
        #expect(!neighbourhood.guests(of: share, at: "x").contains(keys[0]))
        #expect(neighbourhood.guests(of: share, at: "x").contains(keys[1]))
        _ = neighbourhood.update(allowed: allowed, at: .seconds(8000))
        #expect(neighbourhood.isEmpty)
        // A worker that gives no addresses asks for no neighbours.
        neighbourhood.note(keys[0], [], from: "x", at: .seconds(8000))
        #expect(neighbourhood.isEmpty)
    }
}
