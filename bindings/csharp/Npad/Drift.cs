using Npad.Native;

namespace Npad
{
    /// <summary>How recent scores differ from those of a model's held-out good images.</summary>
    public sealed class Drift
    {
        internal Drift(npad_drift drift)
        {
            Drifted = drift.drifted != 0;
            Effect = drift.effect;
            LeastEffect = drift.least_effect;
            PValue = drift.p_value;
            GoodCount = checked((long)(ulong)drift.good_count);
            RecentCount = checked((long)(ulong)drift.recent_count);
            GoodMedian = drift.good_median;
            RecentMedian = drift.recent_median;
            AboveCount = checked((long)(ulong)drift.above_count);
            AboveShare = drift.above_share;
            AboveLow = drift.above_low;
            AboveHigh = drift.above_high;
            FalseAlarmRate = drift.false_alarm_rate;
        }

        /// <summary>Whether the scores have drifted: the magnitude of the effect is at least
        /// <see cref="LeastEffect"/>.</summary>
        public bool Drifted { get; }

        /// <summary>The probability that a recent score exceeds that of a held-out good image, minus that of the opposite
        /// (Cliff's delta): -1 to 1, above 0 where scores have risen. A magnitude of 0.12 is a small effect, 0.28 a medium
        /// one and 0.42 a large one (Vargha and Delaney 2000).</summary>
        public double Effect { get; }

        /// <summary>The magnitude from which an effect is drift: 0.28, or more where so few scores
        /// would show such an effect by chance. Above 1 where there are too few for any.</summary>
        public double LeastEffect { get; }

        /// <summary>The probability that scores differ as much if nothing has changed.</summary>
        public double PValue { get; }

        /// <summary>Number of held-out good images.</summary>
        public long GoodCount { get; }

        /// <summary>Number of recent scores.</summary>
        public long RecentCount { get; }

        /// <summary>Median score of the held-out good images.</summary>
        public float GoodMedian { get; }

        /// <summary>Median of the recent scores.</summary>
        public float RecentMedian { get; }

        /// <summary>Number of recent scores above the model's threshold.</summary>
        public long AboveCount { get; }

        /// <summary>Share of recent scores above the model's threshold, 0 to 1.</summary>
        public double AboveShare { get; }

        /// <summary>Lower end of an interval that contains that share with a confidence of 95 %.</summary>
        public double AboveLow { get; }

        /// <summary>Upper end of that interval.</summary>
        public double AboveHigh { get; }

        /// <summary>Share of good images above the threshold that the held-out ones let expect:
        /// <see cref="Model.FalseAlarmRate"/>, unless the threshold was given or is that of known defects.</summary>
        public double FalseAlarmRate { get; }
    }
}
