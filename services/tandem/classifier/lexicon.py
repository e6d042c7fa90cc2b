"""The terms that speak for a task, a domain, a demand or a kind of asker, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _Terms:
    """Terms of one weight: English ones apart by commas, Chinese ones by spaces."""

    weight: float
    english: str
    chinese: str


_TASKS: Final = {
    "task.creative": (
        _Terms(
            3.0,
            "poem,haiku,limerick,sonnet,lyrics,screenplay,short story,a story,fairy tale,slogan,tagline,roleplay,fan fiction,"
            "blog post,cover letter,act as,imagine you,a joke,a song,travel blog,a speech,love letter,a script,an email,"
            "product description",
            "写诗 一首诗 诗歌 写一首 写首 故事 小说 剧本 歌词 文案 标语 口号 散文 对联 童话 扮演 充当 段子 祝福语 演讲稿 宣传语 "
            "广告语 创作 想象你 撰写 作文 擔任 新闻标题",
        ),
        _Terms(
            1.0,
            "creative,imagine,compose,fictional,rewrite,brainstorm,invent,catchy,persuasive,character,narrative,write about,"
            "letter,email,essay,rhyme,humorous",
            "创意 编写 起名 取名 想象 续写 改写 润色 幽默 邮件 我希望你 我要你 我想讓你 我想让你",
        ),
    ),
    "task.factual": (
        _Terms(
            2.0,
            "what is,what are,what was,what were,what does,who is,who was,who are,who wrote,who invented,when did,when was,"
            "where is,where was,which country,which city,what year,capital of,define,definition of,meaning of,tell me,"
            "information about,symptoms of,treatments for,causes of,causes,in what,name the,how tall,how old,what kind",
            "是什么 什么是 是谁 哪一年 哪个国家 在哪里 定义 含义 介绍一下 的原理 基本原理 解释 简述 有哪些 什么意思 怎么办 "
            "怎么回事 是指 的概念 属于 下列选项 首都 治疗方案 怎么治疗 是哪 应注意什 哪些症状 多少天",
        ),
        _Terms(
            0.8,
            "what,who,when,where,which,explain,describe,history,famous,discovered,located,called,difference between,"
            "differences between,how does,how do,how can",
            "什么 谁 何时 哪里 描述 说明 历史 哪个 哪些 正确的是 错误的是 吗 怎么 如何 为什么",
        ),
    ),
    "task.reasoning": (
        _Terms(
            2.5,
            "step by,logically,deduce,logic puzzle,puzzle,riddle,infer,therefore,syllogism,premise,premises,valid argument,"
            "tell the,tells the,false statement,true statement,assumption,weaken,strengthens,weakens,reason through,"
            "what if,must be,truth,counterfactual,plausible,invalid,deductively",
            "推理 推断 逻辑 假设前提 前提 结论 削弱 加强 支持上述 由此可 可以推出 必然 一步步 逐步 推出 案例分析 论证 "
            "为假 为真 法律依据 请分析 分析并 以下哪项",
        ),
        _Terms(
            1.0,
            "reasoning,analyze,analyse,evaluate,trade,compare,why,argue,consequence,implications,if,then,assume,suppose,"
            "strategy,consider,statement,statements,sequence,options,all of",
            "分析 判断 比较 对比 权衡 评估 如果 假如 假设 为何 场景 依据 关系 可能",
        ),
    ),
    "task.mathematics": (
        _Terms(
            3.0,
            "prove,proof,theorem,lemma,integral,derivative,equation,equations,polynomial,matrix,eigenvalue,modulo,triangle,"
            "square root,solve for,find all,how many,how much,remainder,divisible,probability that,compute,simplify,"
            "the sum,the value,positive integers,real numbers,integer,factor,greatest common,degrees,isomorphic,homomorphism,"
            "perimeter,circumference,in total,altogether,converges",
            "证明 定理 方程 求解 积分 导数 矩阵 概率 函数 数列 三角形 请计算 计算下 计算出 求值 等于多少 椭圆 双曲线 抛物线 向量 的最小值 的最大值 "
            "平均每 一共 多少元 多少个 不等式 求导 圆心 复数 集合 切线",
        ),
        _Terms(
            1.0,
            "calculate,number,numbers,total,average,percent,area,times,twice,half,sum,product,equal,equals,solution,fraction,"
            "each,per,divided,multiply,cost,costs,left,together,probability,function,variable,digits,square,circle,prime",
            "总共 多少 平均 面积 百分之 比例 数字 整数 几个 几分 倍 设函数 若函数 实数 满足",
        ),
    ),
    "task.code": (
        _Terms(
            3.0,
            "python,javascript,typescript,java,rust,golang,kotlin,sql,html,css,regex,algorithm,code,coding,debug,compile,"
            "compiler,function to,function that,function which,function for,unit test,stack trace,api,bash,shell script,"
            "python function,def,class,refactor,json,docker,kubernetes,git,react,pandas,segfault,traceback,leetcode,"
            "numpy,backend,frontend,program that,recursion,linked list,binary search,regular expression",
            "代码 编程 程序 算法 函数实现 写一个函 报错 调试 正则 数据库 接口 脚本 编译 爬虫 前端 后端 数据结构 递归 二叉树",
        ),
        _Terms(
            1.0,
            "program,script,implement,array,string,list,loop,return,returns,method,library,database,query,server,software,"
            "input,output,bug,exception,tuple,dictionary,elements",
            "实现 数组 字符串 循环 变量 返回 软件 服务器 部署 语句",
        ),
    ),
    "task.extraction": (
        _Terms(
            3.0,
            "summarize,summarise,summary,extract,tl,key points,main idea,bullet points,the passage,the article,the text,"
            "following text,following article,following paragraph,classify,identify the,list all,convert the,named entities,"
            "sentiment,following table,given text,based on,according to",
            "总结 概括 摘要 提取 抽取 归纳 根据上文 根据以下 阅读材料 阅读下面 以下文章 下列文段 关键词 分类 整理成 实体 情感倾向 "
            "根据材料 材料一 类别包括",
        ),
        _Terms(
            1.0,
            "passage,article,paragraph,following,table,document,given,context,read,label,category,highlight,mentioned,"
            "format",
            "下文 原文 文中 文章 段落 表格 要点 以下 材料 找出 列出 格式",
        ),
    ),
    "task.translation": (
        _Terms(
            5.0,
            "translate,translation of,translated,into english,into chinese,into french,into german,into spanish,in japanese",
            "翻译 译成 译为 用英语怎 用中文怎 翻成 英译 中译",
        ),
    ),
    "task.chat": (
        _Terms(
            3.0,
            "hello,hi,hey,thanks,thank you,good morning,good evening,how are,goodbye,bye,nice to,your name,who are,lol,"
            "are you,i feel,i m,about yourself",
            "你好 您好 谢谢 早上好 晚上好 再见 聊聊 你叫什么 你是谁 哈哈 在吗 心情 无聊 晚安 陪我",
        ),
    ),
}

_DOMAINS: Final = {
    "domain.medical": (
        _Terms(
            2.0,
            "patient,patients,diagnosis,diagnose,symptom,symptoms,clinical,surgery,tumor,cancer,diabetes,hypertension,antibiotic,"
            "antibiotics,vaccine,dosage,mg,chemotherapy,syndrome,pathology,anatomy,physician,nurse,hospital,disease,diseases,"
            "infection,pregnancy,pregnant,prognosis,asthma,stroke,artery,vein,nerve,cardiac,renal,hepatic,pulmonary,therapy,"
            "treatments,treatment for,medication,medications,drug,drugs,insulin,fever,lesion,biopsy,year old,inherited,disorder,"
            "disorders,carcinoma,deficiency,anemia,dystrophy,congenital,epilepsy,arthritis,thyroid,leukemia,kidney,liver",
            "患者 症状 诊断 治疗 手术 肿瘤 癌症 糖尿病 高血压 抗生素 疫苗 剂量 化疗 综合征 病人 医院 疾病 感染 怀孕 孕妇 "
            "预后 哮喘 中风 医生 药物 服药 吃药 发烧 咳嗽 疼痛 检查 胃 肝 肾 炎症 血压 月经 病史 临床 护理 病理 过敏 大夫 "
            "头晕 感冒 骨折 皮肤 宝宝 并发症 入院 中药 医学 用药 失眠 肺 心脏",
        ),
        _Terms(
            1.0,
            "doctor,pain,health,medical,medicine,blood,heart,brain,bone,muscle,acute,chronic,dose,skin,sleep,diet,genetic,"
            "treat,cure,vitamin,exam,virus,viral,bacterial,care,gene",
            "健康 血液 心 脑 骨 肌肉 急性 慢性 饮食 营养 病毒 细菌 注意事项 不舒服 医疗 炎 病",
        ),
    ),
    "domain.legal": (
        _Terms(
            2.0,
            "plaintiff,defendant,statute,court,lawsuit,contract,tort,negligence,liability,liable,jurisdiction,felony,attorney,"
            "lawyer,constitution,constitutional,supreme court,common law,appeal,testimony,hearsay,copyright,patent,gdpr,"
            "damages,legal,landlord,tenant,will and,estate,fourth amendment,due process,indictment,prosecution,legislation,"
            "treaty,international law,easement,custody,clause,indemnity,arbitration,murder,burglary,convicted,breach,law",
            "法律 法院 原告 被告 合同 起诉 诉讼 律师 判决 刑法 民法 宪法 犯罪 违约 侵权 赔偿 劳动法 离婚 遗产 继承 法规 条例 "
            "仲裁 公安 抢劫 盗窃 诈骗 有期徒刑 上诉 债务 债权 抵押 担保 婚姻 著作权 专利 司法 行政处罚 民事 刑事 当事人 "
            "法条 公司法 拘留 立案 法定 甲公司 乙公司 工伤 欠条 人民检察 罪",
        ),
        _Terms(
            1.0,
            "judge,rights,evidence,jury,crime,criminal,penalty,regulation,compliance,agreement,party,parties,intent,guilty,"
            "ownership,property,deed,trial,witness,police",
            "权利 义务 责任 证据 规定 罚款 协议 财产 房产 纠纷 法 审理 违法",
        ),
    ),
    "domain.finance": (
        _Terms(
            2.0,
            "stock,stocks,bond,bonds,portfolio,dividend,equity,interest rate,inflation,gdp,tax,taxes,audit,accounting,"
            "balance sheet,cash flow,revenue,ebitda,mortgage,hedge,derivatives,etf,monetary,fiscal,bank,banking,shareholder,"
            "liquidity,depreciation,valuation,irr,npv,investment,investor,investors,invest,ledger,amortization,earnings,"
            "credit risk,exchange rate,ipo,assets and,net income,aggregate demand,monopoly,elasticity,marginal cost",
            "股票 债券 基金 投资 股息 利率 通货膨胀 税收 审计 会计 资产负债 现金流 净利润 营业收入 贷款 期货 期权 央行 银行 "
            "货币政策 财政 股东 流动性 折旧 估值 收益率 证券 理财 保险 增值税 汇率 上市公司 同比 财报 营收 资本 信托 "
            "风险管理 融资 期末 成本 纳税 财联社 涨幅 基金经理 亿元 财务 投保 市盈率 股价 企业所得 保费 金融",
        ),
        _Terms(
            1.0,
            "market,markets,price,prices,profit,loan,asset,assets,financial,finance,economic,economy,fund,currency,budget,debt,"
            "supply,demand,money,trade,cost of,income",
            "市场 价格 利润 经济 资产 资金 货币 预算 交易 收入 消费 企业 账户 支付",
        ),
    ),
    "domain.science": (
        _Terms(
            2.0,
            "quantum,physics,chemistry,biology,molecule,electron,photon,relativity,thermodynamics,entropy,velocity,gravity,"
            "photosynthesis,enzyme,dna,rna,protein,evolution,galaxy,planet,planets,astronomy,acid,reaction,isotope,ecosystem,"
            "magnetic,electromagnetic,semiconductor,voltage,circuit,engineering,neural network,machine learning,genome,"
            "geology,tectonic,climate,wavelength,mitosis,species,oxidation,laser,torque,momentum,kinetic,atoms,catalyst",
            "量子 物理 化学 生物 分子 电子 光子 相对论 热力学 熵 速度 重力 光合作用 酶 蛋白质 进化 星系 行星 天文 反应 同位素 "
            "生态系统 磁场 电磁 半导体 电压 电路 工程 神经网络 机器学习 基因 地质 气候 波长 电荷 离子 溶液 电容 加速度 "
            "质点 动能 引力 细胞 氧化 原子 摩尔 电流 科学",
        ),
        _Terms(
            1.0,
            "energy,force,mass,temperature,pressure,cell,cells,atom,light,speed,experiment,scientific,temperature,water,earth,"
            "physical,chemical,particle,theory,science",
            "能量 温度 压强 实验 地球 理论 粒子 质量",
        ),
    ),
}

_DEMANDS: Final = {
    "demand.proof": (
        _Terms(
            1.0,
            "prove,proof,disprove,show that,derive,derivation,theorem,lemma,irrational,contradiction,by induction,rigorous,"
            "rigorously,counterexample,isomorphic,homomorphism,converges,if and,necessary and",
            "证明 推导 求证 反证法 归纳法 定理 充要条件 充分必要 严格论证 反例",
        ),
    ),
    "demand.steps": (
        _Terms(
            1.0,
            "step by,steps,then explain,and then,finally,first,second,after that,as well,walk me,in detail,each of,"
            "break down,also",
            "一步步 逐步 步骤 首先 其次 然后 最后 接着 再解释 并且 同时 详细 分别 以及 并说明 并解释 分步",
        ),
    ),
    "demand.weighing": (
        _Terms(
            1.0,
            "compare,comparison,contrast,trade,tradeoff,tradeoffs,pros and,advantages,disadvantages,versus,evaluate,assess,"
            "critique,critically,optimize,optimise,optimal,design,architecture,strategy,recommend,differential diagnosis,"
            "best approach,differences between,difference between,prioritize,feasibility,weigh",
            "比较 对比 权衡 优缺点 利弊 评估 评价 最优 优化 设计 架构 策略 方案 区别 异同 鉴别诊断 可行性",
        ),
    ),
    "demand.depth": (
        _Terms(
            1.0,
            "why,explain,analyze,analyse,justify,implications,mechanism,interpret,underlying,implement,comprehensive,thorough,"
            "how would,discuss,argue,infer,deduce,logically,evidence for,algorithm,complexity,pathophysiology,management of",
            "为什么 为何 解释 分析 论述 机制 原因 推理 推断 深入 全面 实现 阐述 理由 法律依据 影响 探讨 算法",
        ),
    ),
    "demand.conditions": (
        _Terms(
            1.0,
            "must,such that,subject to,at least,at most,no more,no less,without using,without,exactly,only if,unless,given that,"
            "assuming,suppose,assume,constraint,constraints,provided that,except,cannot,should not,ensure,requirement,"
            "requirements,respectively,within,satisfies",
            "必须 至少 至多 不超过 不少于 不得 恰好 满足 假设 已知 条件 除非 要求 限制 不能 确保 前提 约束 若 当且仅当 字以内",
        ),
    ),
    "demand.hypothesis": (
        _Terms(
            1.0,
            "if,would,could,might,were,hypothetical,scenario,what if",
            "如果 假如 倘若 会怎样 假设 场景",
        ),
    ),
    "demand.quantity": (
        _Terms(
            1.0,
            "how many,how much,total,percent,each,per,twice,half,times,average,ratio,calculate,compute,solve,equation,integral,"
            "derivative,probability,matrix,rate,more than,less than,remaining,hours,minutes,days,miles,dollars",
            "多少 总共 一共 百分之 平均 请计算 计算下 计算出 求解 方程 积分 导数 概率 矩阵 比例 利率 倍 求",
        ),
    ),
    "demand.recall": (
        _Terms(
            1.0,
            "what is,who is,who was,who wrote,when did,when was,where is,capital of,define,definition of,meaning of,what does,"
            "how old,how tall,which country,what year,translate,hello,hi,thanks,thank you,what color,spell,synonym",
            "是什么 什么是 是谁 哪一年 哪个国家 在哪里 首都 定义 什么意思 翻译 你好 谢谢 再见 叫什么 多大 多高",
        ),
    ),
}

_ASKERS: Final = {
    "asker.professional": (
        _Terms(
            1.5,
            "my patient,my client,our client,as a,differential diagnosis,pathophysiology,contraindicated,contraindication,"
            "pursuant to,prima facie,statutory,case law,pharmacokinetics,presents with,physical examination,which of,"
            "the plaintiff,the defendant,internal control,gaap,ifrs,hedge,valuation,dcf,guideline,first line,etiology,"
            "jurisdiction,indemnity,motion to,plaintiff,defendant,clinical trial,laboratory studies,memorandum",
            "鉴别诊断 禁忌症 主诉 查体 患者男 患者女 患者 当事人 辩护 司法解释 构成要件 法条 第几条 会计准则 审计 估值 临床表现 "
            "药代动力 诊疗 辅助检查 下列哪 下列选项 下列说法 正确的是 表述 依照 被告人 法律依据 案情",
        ),
    ),
    "asker.lay": (
        _Terms(
            1.5,
            "my mom,my dad,my doctor,my mother,my father,my son,my daughter,my wife,my husband,my boss,my landlord,i have,"
            "i feel,should i,can i,am i,simple terms,simply,like i,for beginners,do you,my lawyer",
            "我妈 我爸 我家 我的 医生您好 您好 大夫 我想问 请问医生 我有 我是不是 通俗 简单说 孩子 宝宝 我老公 我老婆 怎么办 "
            "我姑妈 我该 我可以 我们公司 老板 吗 怎么回事",
        ),
    ),
}


def headings() -> Mapping[str, Mapping[str, float]]:
    """Return the terms under every heading, `task.code` or `demand.proof`, each with its weight."""
    found: dict[str, dict[str, float]] = {}
    for heading, groups in {**_DEMANDS, **_TASKS, **_DOMAINS, **_ASKERS}.items():
        terms = found.setdefault(heading, {})
        for group in groups:
            terms |= dict.fromkeys([*group.english.split(","), *group.chinese.split()], group.weight)
    return found
