import Coordinator
import Protocol
import Testing

@Suite struct RejectionLogTests {
    /// Anyone who can connect without being admitted can make any number of keys.
    @Test func aStrangerWithManyKeysFillsNoLog() throws {
        let heard = HeardLines()
        var log = RejectionLog()
        for second in 0..<50 {
            let key = try KeyPair.new().publicKey
            log.note([.notAllowed(key)], at: .seconds(second), heard.logger())
        }
        #expect(heard.count("a worker was rejected: its public key") == 8, "\(heard.text)")
        #expect(heard.count("more connections were rejected, of other keys") == 1)
        // Later, another key is named again, and so is one that keeps trying.
        let key = try KeyPair.new().publicKey
        log.note([.notAllowed(key)], at: .seconds(120), heard.logger())
        log.note([.notAllowed(key)], at: .seconds(125), heard.logger())
        log.note([.notAllowed(key)], at: .seconds(190), heard.logger())
        #expect(heard.all.filter { $0.contains(key.fingerprint) }.count == 2, "\(heard.text)")
    }
}
