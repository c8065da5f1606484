import Coordinator
import Testing

@Suite struct RateLimitTests {
    @Test func burstsPassTheRateLimitAndFloodsDoNot() {
        var limit = RateLimit(perSecond: 100)
        let admitted = (0..<1000).filter { _ in limit.admits(at: .zero) }
        #expect(admitted == Array(0..<200))
        // Half a second later there is room for fifty.
        let later = (0..<1000).filter { _ in limit.admits(at: .milliseconds(500)) }
        #expect(later == Array(0..<50))
        // A long silence saves up no more than two seconds' worth.
        let much = (0..<1000).filter { _ in limit.admits(at: .seconds(1000)) }
        #expect(much == Array(0..<200))
    }

    @Test func peersBelowTheRateLimitAreAlwaysRead() {
        var limit = RateLimit(perSecond: 100)
        #expect((0..<10_000).allSatisfy { limit.admits(at: .milliseconds(10 * $0)) })
    }
}
