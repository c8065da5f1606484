import Coordinator
import Engine
import Protocol
import Testing

private let (a, b, c) = (HostID("a"), HostID("b"), HostID("c"))

private let kind = AnswerKind(
    processor: "CPU avx2",
    backend: "onednn",
    precision: "f32",
    program: "1"
)
private let other = AnswerKind(
    processor: "CPU avx512f",
    backend: "onednn",
    precision: "f32",
    program: "1"
)

private func answer(_ offset: Float = 0, _ scale: Float = 1) -> WorkResult {
    WorkResult(
        tensor: Tensor((0..<64).map { Float($0 % 7) * scale + offset }, shape: [1, 4, 4, 4])
    )
}

private func opinion(
    _ result: WorkResult,
    _ kind: AnswerKind = kind,
    isOwn: Bool = false
) -> Judgement.Opinion {
    .init(result: result, kind: kind, isOwn: isOwn)
}

/// Which of two answers is wrong.
@Suite struct JudgementTests {
    @Test func likeKindsMustAgreeToTheBit() {
        let almost = answer(1e-6)
        #expect(Judgement.areAlike(opinion(answer()), opinion(answer()), gain: 7))
        #expect(!Judgement.areAlike(opinion(answer()), opinion(almost), gain: 7))
        #expect(Judgement.areAlike(opinion(answer()), opinion(almost, other), gain: 1))
        #expect(!Judgement.areAlike(opinion(answer()), opinion(answer(0.01), other), gain: 1))
    }

    /// PyTorch's bytes depend on things that workers do not announce.
    @Test func answersOfPyTorchAreComparedWithinATolerance() {
        let torch = AnswerKind(
            processor: "GPU",
            backend: "torch",
            precision: "bf16",
            program: "1"
        )
        #expect(Judgement.areAlike(opinion(answer(), torch), opinion(answer(0.05), torch), gain: 1))
        #expect(!Judgement.areAlike(opinion(answer(), torch), opinion(answer(1), torch), gain: 1))
    }

    @Test func statisticsAreComparedToo() {
        func result(_ mean: Double) -> WorkResult {
            WorkResult(tensor: nil, statistics: [Moments(mean: mean, variance: 1)])
        }
        #expect(!Judgement.areAlike(opinion(result(0)), opinion(result(0.01)), gain: 1))
        #expect(Judgement.areAlike(opinion(result(0)), opinion(result(1e-5), other), gain: 1))
        #expect(!Judgement.areAlike(opinion(result(0)), opinion(answer()), gain: 1))
    }

    /// One wrong element among many is enough.
    @Test func oneElementIsEnough() {
        var values = answer().tensor?.values ?? []
        values[5] += 0.2
        let damaged = WorkResult(tensor: Tensor(values, shape: [1, 4, 4, 4]))
        #expect(!Judgement.areAlike(opinion(answer()), opinion(damaged, other), gain: 1))
    }

    @Test func aThirdAnswerDecides() {
        let (good, bad) = (opinion(answer()), opinion(answer(0.01)))
        let first = Judgement.between(bad, good, third: good, gain: 1)
        #expect(first.firstIsWrong && !first.secondIsWrong)
        let second = Judgement.between(good, bad, third: good, gain: 1)
        #expect(!second.firstIsWrong && second.secondIsWrong)
        // A third answer of another kind is near one of the two.
        let near = Judgement.between(good, bad, third: opinion(answer(1e-5), other), gain: 1)
        #expect(!near.firstIsWrong && near.secondIsWrong)
        // In bfloat16 both could be right, but one is much nearer.
        let coarse = AnswerKind(
            processor: "CPU avx2",
            backend: "onednn",
            precision: "bf16",
            program: "1"
        )
        let nearest = Judgement.between(bad, good, third: opinion(answer(1e-3), coarse), gain: 1)
        #expect(nearest.firstIsWrong && !nearest.secondIsWrong)
        let middle = Judgement.between(bad, good, third: opinion(answer(0.005), coarse), gain: 1)
        #expect(middle == .undecided)
    }

    @Test func bothAreWrongOnlyWhereTheCoordinatorSaysSo() {
        let (x, y, z) = (answer(0.1), answer(0.2), answer(0.15))
        let own = Judgement.between(
            opinion(x),
            opinion(y),
            third: opinion(z, isOwn: true),
            gain: 1
        )
        #expect(own.firstIsWrong && own.secondIsWrong)
        let host = Judgement.between(opinion(x), opinion(y), third: opinion(z), gain: 1)
        #expect(host == .undecided)
    }
}

/// What is thrown away, and where the render continues.
@Suite struct ContributionsTests {
    @Test func whatWasAnsweredSinceTheLastGoodCheckIsThrownAway() {
        var contributions = Contributions()
        for step in 0..<10 {
            contributions.answered(5, by: a, in: step)
            contributions.answered(5, by: b, in: step)
        }
        contributions.vouch(for: a, in: 6, by: b)
        contributions.vouch(for: a, in: 3, by: b)
        #expect(contributions.accuse([a], all: false) == 6)
        // If every answer needs a voucher, one is not enough.
        #expect(contributions.accuse([a], all: true) == 0)
    }

    @Test func stepsThatAreCheckedWholeStay() {
        var contributions = Contributions()
        for step in 0..<10 { contributions.answered(2, by: a, in: step) }
        for step in 0..<7 {
            for _ in 0..<2 { contributions.vouch(for: a, in: step, by: b) }
        }
        #expect(contributions.earliestOpenStep(all: true) == 7)
        #expect(contributions.accuse([a], all: true) == 7)
        contributions.rollBack(to: 7)
        #expect(contributions.accuse([a], all: true) == nil)
    }

    @Test func liarsCannotVouchForEachOther() {
        var contributions = Contributions()
        for step in 0..<4 {
            contributions.answered(by: a, in: step)
            contributions.vouch(for: a, in: step, by: step < 2 ? b : c)
        }
        #expect(contributions.accuse([a], all: true) == nil)
        #expect(contributions.accuse([b], all: true) == 0)
    }
}

@Suite struct SnapshotsTests {
    /// A bounded number of states, including the first and the newest; going back never overshoots.
    @Test func memoryIsBounded() {
        var snapshots = Snapshots(first: 0, capacity: 6)
        for step in 1...200 {
            snapshots.add(step, before: step, needed: 3)
            #expect(snapshots.entries.count <= 6)
            #expect(snapshots.newest.step == step)
            #expect(snapshots.entries[0].step == 0)
            #expect(snapshots.entries.allSatisfy { $0.step == $0.state })
        }
        let back = snapshots.goBack(to: 150)
        #expect(back.step <= 150 && back.step == snapshots.newest.step)
        #expect(snapshots.goBack(to: 0).step == 0)
    }

    @Test func whatIsNotNeededIsDropped() {
        var snapshots = Snapshots(first: 0, capacity: 20)
        for step in 1...10 { snapshots.add(step, before: step, needed: step - 1) }
        #expect(snapshots.entries.map(\.step) == [0, 9, 10])
        #expect(snapshots.newest(atOrBefore: 9).step == 9)
    }
}

/// Which answers are computed a second time.
@Suite struct CheckChoiceTests {
    private func candidates(_ sites: [HostID], _ count: Int) -> [CheckChoice.Candidate] {
        (0..<count).map { .init(site: sites[$0 % sites.count], cost: 1, costOfCheck: 1) }
    }

    private func known(_ checked: Int = 500, wrong: Bool = false) -> SiteRecord {
        var record = SiteRecord()
        for _ in 0..<checked { record.note(isGood: true, at: 1) }
        if wrong { record.note(isGood: false, at: 2) }
        return record
    }

    @Test func theSameSeedChoosesTheSame() {
        func chosen(seed: UInt64) -> [[Int]] {
            var choice = CheckChoice(share: .share(0.1), seed: seed)
            return (0..<20).map { step in
                choice.choose(candidates([a, b], 20), { _ in known() }, key: (step, 1))
            }
        }
        #expect(chosen(seed: 1) == chosen(seed: 1))
        #expect(chosen(seed: 1) != chosen(seed: 2))
    }

    @Test func knownHostsCostTheShare() {
        var choice = CheckChoice(share: .share(0.01), seed: 3)
        let count = (0..<100).reduce(0) { sum, step in
            sum + choice.choose(candidates([a, b, c], 60), { _ in known() }, key: (step, 1)).count
        }
        #expect((60...61).contains(count))
    }

    @Test func offAndAll() {
        var off = CheckChoice(share: .off, seed: 1)
        var all = CheckChoice(share: .all, seed: 1)
        #expect(off.choose(candidates([a], 9), { _ in SiteRecord() }, key: (0, 1)).isEmpty)
        #expect(all.choose(candidates([a], 9), { _ in known() }, key: (0, 1)) == Array(0..<9))
    }

    /// The counts come from a file.
    @Test(arguments: [Int.max, Int.min, -1])
    func damagedCountsEndNothing(_ count: Int) {
        var record = SiteRecord()
        (record.checked, record.wrong, record.goodSinceWrong) = (count, count, count)
        record.note(isGood: true, at: 1)
        record.note(isGood: false, at: 2)
        #expect(record.checked > 0 && record.wrong > 0 && record.goodSinceWrong == 0)
    }

    /// Even in a small render, new hosts are checked once, and hosts that have been wrong several times.
    @Test func newAndWrongHostsAreCheckedMore() {
        var choice = CheckChoice(share: .share(0.01), seed: 4)
        let records = [a: SiteRecord(), b: known(), c: known(wrong: true)]
        var counts: [HostID: Int] = [:]
        let all = candidates([a, b, c], 30)
        for index in choice.choose(all, { records[$0] ?? SiteRecord() }, key: (0, 1)) {
            counts[all[index].site, default: 0] += 1
        }
        // Besides these, the share allows at most one check.
        #expect(counts[a, default: 0] >= 1 && counts[c, default: 0] >= 4)
        #expect(counts.values.reduce(0, +) <= 6)
        for step in 1..<200 {
            for index in choice.choose(all, { records[$0] ?? SiteRecord() }, key: (step, 1)) {
                counts[all[index].site, default: 0] += 1
            }
        }
        #expect(counts[b, default: 0] > 0)
        #expect(counts[a, default: 0] > counts[b, default: 0])
        #expect(counts[c, default: 0] > counts[a, default: 0])
        #expect(counts.values.reduce(0, +) <= 6 + 60)
    }

    @Test func oddAnswersAreCheckedMore() {
        var choice = CheckChoice(share: .share(0.02), seed: 5)
        var (odd, even) = (0, 0)
        for step in 0..<100 {
            var all = candidates([a], 50)
            all[7].isOdd = true
            for index in choice.choose(all, { _ in known() }, key: (step, 1)) {
                if index == 7 { odd += 1 } else { even += 1 }
            }
        }
        #expect((100...101).contains(odd + even))
        #expect(odd > 5)
    }

    @Test(arguments: [
        ("off", VerifyShare.off), ("0", .off), ("all", .all), ("1", .all), ("2%", .share(0.02)),
        ("0.5", .share(0.5)), ("100%", .all),
    ]) func sharesAreRead(text: String, share: VerifyShare) {
        #expect(VerifyShare(text) == share)
        #expect(VerifyShare(share.text) == share)
    }

    @Test(arguments: ["", "some", "-1", "2", "nan", "101%", "%"]) func othersAreNot(text: String) {
        #expect(VerifyShare(text) == nil)
    }

    @Test func recordsAdapt() {
        var record = known()
        let proven = record
        record.note(isGood: false, at: 9)
        #expect(record.wrong == 1 && record.lastWrong == 9 && record.goodSinceWrong == 0)
        for _ in 0..<500 { record.note(isGood: true, at: 10) }
        var choice = CheckChoice(share: .share(0.5), seed: 6)
        // It has proven itself again.
        let all = candidates([a, b], 1000)
        let counts = choice.choose(all, { $0 == a ? record : proven }, key: (0, 1))
        let share = Double(counts.count { all[$0].site == a }) / Double(counts.count)
        #expect((0.4...0.6).contains(share))
    }
}
