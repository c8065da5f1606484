import Engine
import TestSupport
import Testing

/// The memory plan for activations, made after the first evaluation of each shape.
@Suite struct ActivationMemoryTests {
    @Test func liveBuffersDoNotOverlap() {
        var random = Mutator(seed: 3)
        for count in [0, 1, 2, 40, 200] {
            let lives = (0..<count).map { i in
                MemoryPlan.Life(
                    bytes: 1 + random.below(5000),
                    taken: 2 * i,
                    returned: 2 * i + 1 + 2 * random.below(20)
                )
            }
            let plan = MemoryPlan(lives)
            #expect(plan.places.map(\.bytes) == lives.map(\.bytes))
            for i in lives.indices {
                let place = plan.places[i]
                #expect(place.offset % MemoryPlan.alignment == 0)
                #expect(place.offset + place.bytes <= plan.size)
                for j in 0..<i
                where lives[i].taken < lives[j].returned && lives[j].taken < lives[i].returned {
                    let other = plan.places[j]
                    #expect(
                        place.offset + place.bytes <= other.offset
                            || other.offset + other.bytes <= place.offset
                    )
                }
            }
            // At least the peak of what is live at once, at most all buffers together.
            let most =
                lives.indices.map { moment in
                    lives.filter { $0.taken <= 2 * moment && $0.returned > 2 * moment }
                        .reduce(0) { $0 + $1.bytes }
                }.max() ?? 0
            #expect(plan.size >= most)
            #expect(plan.size <= lives.reduce(0) { $0 + MemoryPlan.rounded($1.bytes) })
        }
    }

    @Test(arguments: Fixtures.networks, BackendKind.builtIn)
    func laterEvaluationsAllocateNothing(fixture: NetworkFixture, kind: BackendKind) throws {
        var backend: HostBackend?
        let unet = try UNet(
            model: Model(path: fixture.checkpoint),
            options: EngineOptions(backend: kind, threads: 2)
        ) { made in
            backend = made as? HostBackend
            return made
        }
        let host = try #require(backend)
        let expected = try fixture.tensors()
        let conditions = try Conditions(fixture)
        var first: [[Float]] = []
        var allocations = 0
        for round in 0..<4 {
            for (i, j) in try fixture.indices(of: "unet", "input").enumerated() {
                let answer = try unet.predict(
                    try expected.tensor("unet.\(j).input").channelsLast(),
                    timestep: try expected.tensor("unet.\(j).timestep").values[0],
                    context: conditions.context,
                    pooled: conditions.pooled,
                    timeIDs: conditions.timeIDs
                ).values
                if round == 0 { first.append(answer) }
                #expect(answer == first[i])
            }
            // The second round allocates the block that the plans need.
            if round == 1 { allocations = host.allocations }
        }
        #expect(allocations > 0 && host.allocations == allocations)
    }
}
